"""Distributions against their formulas in float64, and their own properties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference as ref
from hypothesis import given, settings
from hypothesis import strategies as st

from harmony_dreamerv3.nets import distributions as dist
from harmony_dreamerv3.nets.policies import Normal

VALUES = st.floats(-1e8, 1e8, width=32)
LOGITS = np.random.default_rng(0).normal(size=(7, 255)).astype(np.float32) * 3


@settings(deadline=None, max_examples=50)
@given(VALUES)
def test_symexp_undoes_symlog(value):
    x = jnp.float32(value)
    np.testing.assert_allclose(dist.symexp(dist.symlog(x)), value, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(dist.symlog(x), ref.symlog(value), rtol=1e-5, atol=1e-7)


@settings(deadline=None, max_examples=50)
@given(st.floats(-1e9, 1e9, width=32), st.sampled_from([2, 41, 255]))
def test_twohot_is_two_neighbours_with_the_right_mean(value, count):
    target = np.asarray(dist.twohot_target(jnp.float32(value), count), np.float64)
    np.testing.assert_allclose(target, ref.twohot(value, count), atol=2e-4)
    assert target.sum() == pytest.approx(1, abs=1e-5)
    held = np.flatnonzero(target > 1e-6)
    assert len(held) <= 2 and held[-1] - held[0] <= 1
    mean = (target * ref.bins(count)).sum()
    assert mean == pytest.approx(np.clip(ref.symlog(value), -20, 20), abs=1e-4)


@pytest.mark.parametrize(("value", "index"), [(1e12, -1), (-1e12, 0), (np.exp(20.5), -1)])
def test_twohot_beyond_the_outermost_bins_lies_on_them(value, index):
    target = np.asarray(dist.twohot_target(jnp.float32(value), 255))
    assert target[index] == 1 and target.sum() == 1


@pytest.mark.parametrize("value", [0.0, 1.0, -3.7, 412.5, -1e5, 1e13, -1e30])
def test_twohot_loss_and_mean(value):
    values = jnp.full(len(LOGITS), value, jnp.float32)
    expected = [ref.twohot_loss(row.astype(np.float64), np.float32(value)) for row in LOGITS]
    np.testing.assert_allclose(dist.twohot_loss(LOGITS, values), expected, rtol=1e-4)
    expected = [ref.twohot_mean(row.astype(np.float64)) for row in LOGITS]
    np.testing.assert_allclose(dist.twohot_mean(LOGITS), expected, rtol=1e-4, atol=1e-5)


def test_a_two_hot_head_that_fits_predicts_its_target():
    for value in (0.0, 0.5, -20.0, 3000.0):
        weights = dist.twohot_target(jnp.float32(value), 255)
        mean = dist.twohot_mean(jnp.log(weights + 1e-20))
        np.testing.assert_allclose(mean, value, rtol=1e-3, atol=1e-4)


def test_unimix():
    logits = LOGITS[:, :6]
    expected = ref.unimix(logits.astype(np.float64), 0.01)
    np.testing.assert_allclose(dist.unimix(jnp.asarray(logits), 0.01), expected, rtol=1e-5)
    sure = dist.unimix(jnp.array([100.0, 0, 0, 0]), 0.01)
    # 0.01 / 4 for each of the others.
    np.testing.assert_allclose(np.exp(sure), [0.9925, 0.0025, 0.0025, 0.0025], rtol=1e-5)


def test_kl_and_entropy():
    p, q = (ref.unimix(LOGITS[i : i + 1, :12].reshape(3, 4).astype(float), 0.01) for i in (0, 1))
    ours = dist.categorical_kl(jnp.asarray(p, jnp.float32), jnp.asarray(q, jnp.float32))
    assert float(ours) == pytest.approx(ref.kl(p, q), rel=1e-5)
    uniform = jnp.log(jnp.full((2, 8), 1 / 8))
    np.testing.assert_allclose(dist.categorical_entropy(uniform), np.log(8), rtol=1e-6)


def test_draws_are_one_hot_with_the_gradient_of_the_probabilities():
    logits = dist.unimix(jnp.asarray(LOGITS[:, :6]), 0.01)
    noise = jax.random.gumbel(jax.random.key(0), logits.shape)
    draw = dist.onehot_draw(logits, noise)
    assert set(np.unique(np.round(draw, 6))) == {0, 1} and (np.round(draw.sum(-1), 5) == 1).all()
    weights = jnp.asarray(LOGITS[:, 6:12])
    grad = jax.grad(lambda x: (dist.onehot_draw(x, noise) * weights).sum())(logits)
    expected = jax.grad(lambda x: (jax.nn.softmax(x, -1) * weights).sum())(logits)
    np.testing.assert_allclose(grad, expected, atol=1e-6)


def test_draws_have_the_frequencies_of_the_probabilities():
    logits = jnp.log(jnp.array([0.7, 0.2, 0.1]))
    noise = jax.random.gumbel(jax.random.key(1), (20000, 3))
    frequency = dist.onehot_draw(jnp.broadcast_to(logits, (20000, 3)), noise).mean(0)
    np.testing.assert_allclose(frequency, [0.7, 0.2, 0.1], atol=0.015)


def test_normal_density_and_entropy():
    std = np.array([0.3, 1.7])
    assert float(dist.normal_entropy(jnp.asarray(std, jnp.float32))) == pytest.approx(
        ref.normal_entropy(std), rel=1e-5
    )
    # A standard normal at its mean in two dimensions: -log(2 pi).
    normal = Normal(jnp.zeros(2), jnp.ones(2))
    np.testing.assert_allclose(normal.log_prob(jnp.zeros(2)), -np.log(2 * np.pi), rtol=1e-6)
