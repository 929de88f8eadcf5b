import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmony_dreamerv3.balance import Task, make

TASKS = {name: Task({name: 1.0}) for name in ("observation", "reward", "dynamics")}


def named(values):
    return {name: jnp.float32(value) for name, value in zip(TASKS, values, strict=True)}


def run(balancer, rows):
    """Returns the weights [steps, K] that each update is weighted with."""
    params, state = balancer.init()
    weights = []
    for row in rows:
        state = balancer.update(state, named(row))
        _, metrics = balancer.apply(params, state, named(row))
        weights.append([float(metrics[f"weight/{name}"]) for name in TASKS])
    return np.array(weights)


@pytest.mark.parametrize("reward", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("observation", [0.0, 1.0])
def test_fixed_is_the_tuned_sum_of_the_paper(reward, observation):
    balancer = make("fixed", TASKS, weights={"reward": reward, "observation": observation})
    total, _ = balancer.apply(*balancer.init(), named([200.0, 0.5, 3.0]))
    assert float(total) == observation * 200 + reward * 0.5 + 3


def test_reciprocal_by_hand():
    assert run(make("reciprocal", TASKS), [[200.0, 0.5, 4.0]]).tolist() == [
        [np.float32(0.005), 2.0, 0.25]
    ]


def test_reciprocal_forgets_the_past_and_bounds_the_weight_of_zero():
    weights = run(make("reciprocal", TASKS, floor=1e-3), [[1.0, 1.0, 1.0], [2.0, 0.0, 4.0]])
    np.testing.assert_allclose(weights, [[1, 1, 1], [0.5, 1000, 0.25]], rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=3))
def test_reciprocal_is_that_of_numpy(row):
    np.testing.assert_allclose(run(make("reciprocal", TASKS), [row])[0], 1 / np.array(row), 1e-6)


def test_dwa_by_hand():
    # Windows of 2: means (4, 8, 1), then (2, 8, 2); rates 0.5, 1, 2.
    rows = [[3, 8, 1], [5, 8, 1], [2, 4, 2], [2, 12, 2], [9, 9, 9], [9, 9, 9], [1, 1, 1]]
    weights = run(make("dwa", TASKS, temperature=2.0, window=2), np.array(rows, np.float64))
    np.testing.assert_array_equal(weights[:4], np.ones([4, 3]))
    odds = np.exp([0.25, 0.5, 1.0])
    np.testing.assert_allclose(weights[4:6], [3 * odds / odds.sum()] * 2, rtol=1e-6)
    odds = np.exp([9 / 2 / 2, 9 / 8 / 2, 9 / 2 / 2])
    np.testing.assert_allclose(weights[6], 3 * odds / odds.sum(), rtol=1e-6)


def reference_dwa(rows, temperature, window):
    """Liu et al. 2019, Eq. 6, from the whole history of losses."""
    weights = []
    for step in range(len(rows)):
        full = step // window
        if full < 2:
            weights.append(np.ones(rows.shape[1]))
            continue
        means = rows[: full * window].reshape(full, window, -1).mean(1)
        odds = np.exp(means[-1] / means[-2] / temperature)
        weights.append(rows.shape[1] * odds / odds.sum())
    return np.array(weights)


@pytest.mark.parametrize("window", [1, 3])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), temperature=st.floats(0.5, 10))
def test_dwa_is_that_of_numpy(window, seed, temperature):
    rows = np.random.default_rng(seed).lognormal(sigma=0.5, size=[10, 3]) * [200.0, 0.01, 3.0]
    weights = run(make("dwa", TASKS, temperature=temperature, window=window), rows)
    np.testing.assert_allclose(weights, reference_dwa(rows, temperature, window), rtol=2e-5)
    np.testing.assert_allclose(weights.sum(1), 3, rtol=1e-6)


def test_dwa_survives_losses_that_vanish_and_return():
    rows = [[0, 0, 1], [0, 1e-30, 1], [1e30, 1e10, 1], [0, 0, 0], [0, 1, 1]]
    weights = run(make("dwa", TASKS, window=1), np.array(rows, np.float64))
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(weights.sum(1), 3, rtol=1e-6)
