"""The update as a whole: it learns, repeats, maps over learners, and stops when it must."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from embodied.core.errors import UserError

KEYS = [np.array([0, seed], np.uint32) for seed in range(3)]


@pytest.fixture(scope="module")
def made():
    """A harmonized agent, its compiled functions, and a batch."""
    agent = tiny.make_agent(
        balance__method="harmony", **{r".*_opt\.lr": 1e-2, "model_opt.eps": 1e-5}
    )
    return agent, jax.jit(agent.init), jax.jit(agent.train_step), tiny.make_batch(agent)


def equal(a, b):
    return jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), a, b))


def test_losses_fall_on_a_fixed_batch(made):
    _, init, step, batch = made
    state, history = init(KEYS[0]), []
    for _ in range(40):
        state, _, metrics = step(state, batch)
        history.append(jax.device_get(metrics))
    assert int(state.updates) == 40 and bool(state.alive)
    for name, least in (
        ("loss/position", 0.7), ("loss/speed", 0.7), ("loss/reward", 0.7), ("loss/cont", 0.5),
        ("loss/critic", 0.9),
    ):  # fmt: skip
        start, end = history[0][name], np.mean([m[name] for m in history[-5:]])
        assert end < least * start, name
    # log sigma moves towards its optimum, by less than the learning rate at each update.
    sigmas = [value for name, value in history[-1].items() if "sigma" in name]
    assert sigmas and all(np.isfinite(sigmas))
    moved = jax.tree.leaves(state.params["balance"])
    assert all(0.01 < abs(float(s)) < 0.41 for s in moved)


def test_an_update_is_a_function_of_state_and_batch(made):
    _, init, step, batch = made
    state = init(KEYS[0])
    first, second = step(state, batch), step(state, batch)
    assert equal(first, second)
    assert equal(first[0].key, state.key)
    other = step(init(KEYS[1]), batch)
    assert not equal(first[0].params, other[0].params)
    # The next update draws anew.
    later = step(state.replace(updates=state.updates + 1), batch)
    assert not equal(first[0].params["actor"], later[0].params["actor"])


def test_vmap_over_learners_is_a_loop(made):
    agent, init, step, _ = made
    batches = [tiny.make_batch(agent, seed=seed) for seed in range(2)]
    alone = [step(init(KEYS[i]), batches[i]) for i in range(2)]
    states = jax.tree.map(lambda *xs: jnp.stack(xs), *[init(KEYS[i]) for i in range(2)])
    stacked = jax.tree.map(lambda *xs: np.stack(xs), *batches)
    together = jax.jit(jax.vmap(agent.train_step))(states, stacked)
    for i in range(2):
        mine = jax.tree.map(lambda x, i=i: x[i], together)
        loss = mine[2]["loss/model"], alone[i][2]["loss/model"]
        np.testing.assert_allclose(*loss, rtol=1e-5)
        # Adam divides small gradients by small ones, so compare with the learning rate 1e-2.
        moments = mine[0].opt["model"][1].mu, alone[i][0].opt["model"][1].mu
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), *moments)
    a, b = together[2]["loss/model"]
    assert not np.isclose(a, b)


def test_a_loss_that_is_not_finite_freezes_the_learner(made):
    _, init, step, batch = made
    state = init(KEYS[0])
    broken = {**batch, "reward": batch["reward"].copy()}
    broken["reward"][0, 1] = np.nan
    frozen, outputs, metrics = step(state, broken)
    assert outputs == {} and not bool(frozen.alive)
    assert not np.isfinite(metrics["loss/reward"])
    assert equal(frozen.params, state.params) and equal(frozen.opt, state.opt)
    assert int(frozen.updates) == 0
    again, _, _ = step(frozen, batch)  # A good batch does not revive it.
    assert not bool(again.alive) and equal(again.params, state.params)


def test_slow_critic_is_copied_at_first_then_follows(made):
    _, init, step, batch = made
    one = step(init(KEYS[0]), batch)[0]
    assert equal(one.slow_critic, one.params["critic"])
    two = step(one, batch)[0]
    expected = jax.tree.map(
        lambda slow, fast: 0.98 * slow + 0.02 * fast, one.slow_critic, two.params["critic"]
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        two.slow_critic,
        expected,
    )


def test_fresh_outputs(made):
    _, init, _, _ = made
    params = init(KEYS[0]).params
    for head in (params["world_model"]["reward"], params["critic"]):
        assert not np.any(head["out"]["kernel"]) and np.any(head["mlp"]["h0"]["kernel"])
    assert all(float(s) == 0 for s in jax.tree.leaves(params["balance"]))
    assert not equal(params, init(KEYS[1]).params)


@pytest.mark.parametrize("discrete", [True, False])
def test_policy_carries_state_and_resets(made, discrete):
    agent = tiny.make_agent(discrete=discrete, sampling=False)
    params = jax.jit(agent.init)(KEYS[0]).params
    batch = tiny.make_batch(agent, size=2, length=3)
    policy = jax.jit(functools.partial(agent.policy, mode="train"))
    obs = [{k: v[:, t] for k, v in batch.items() if k != "action"} for t in range(3)]
    carry, first = policy(params, agent.initial_carry(2), obs[0], KEYS[0])
    assert first.shape == (2, 3)
    if discrete:
        assert set(np.unique(first)) == {0.0, 1.0} and (first.sum(-1) == 1).all()
    else:
        assert (np.abs(first) <= 1).all()
    then, _ = policy(params, carry, obs[1], KEYS[0])
    reset = {**obs[1], "is_first": np.array([True, False])}
    partly, _ = policy(params, carry, reset, KEYS[0])
    fresh, _ = policy(
        params, agent.initial_carry(2), {**reset, "is_first": np.ones(2, bool)}, KEYS[0]
    )
    np.testing.assert_allclose(partly["deter"][0], fresh["deter"][0], rtol=1e-5)
    np.testing.assert_allclose(partly["deter"][1], then["deter"][1], rtol=1e-5)
    assert not np.allclose(partly["deter"][0], then["deter"][0])


def test_policy_draws_by_its_key(made):
    agent, init, _, batch = made
    params = init(KEYS[0]).params
    wide = {k: np.repeat(v[:1, 0], 64, 0) for k, v in batch.items() if k != "action"}
    policy = jax.jit(functools.partial(agent.policy, mode="train"))
    draws = [policy(params, agent.initial_carry(64), wide, key)[1] for key in (KEYS[0], KEYS[1])]
    again = policy(params, agent.initial_carry(64), wide, KEYS[0])[1]
    assert (draws[0] == again).all() and (draws[0] != draws[1]).any()
    assert len(np.unique(np.argmax(draws[0], -1))) > 1


def test_wrong_options_fail_before_anything_is_compiled():
    with pytest.raises(UserError, match="temperatur"):
        tiny.make_agent(balance__method="dwa", **{"balance.options": "{temperatur: 1.0}"})
