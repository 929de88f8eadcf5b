"""Distributions of actions against SciPy and against sums over a grid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from harmony_dreamerv3.nets.policies_v2 import INSIDE, SquashedNormal, TruncatedNormal

MEAN = np.array([-0.9, 0.0, 0.3])
STD = np.array([0.1, 0.7, 2.0])


def reference():
    return stats.truncnorm((-1 - MEAN) / STD, (1 - MEAN) / STD, MEAN, STD)


def test_truncated_normal_against_scipy():
    policy = TruncatedNormal(jnp.asarray(MEAN, jnp.float32), jnp.asarray(STD, jnp.float32))
    np.testing.assert_allclose(policy.entropy(None), reference().entropy().sum(), rtol=1e-4)
    for share in (0.01, 0.3, 0.5, 0.99):
        action = policy.sample(jnp.full(3, share, jnp.float32))
        np.testing.assert_allclose(action, reference().ppf(share), atol=1e-4)
    np.testing.assert_array_equal(policy.mode(), np.float32(MEAN))


def test_moments_of_the_actor():
    policy = TruncatedNormal.of(jnp.array([0.5]), jnp.array([0.0]), 0.1)
    np.testing.assert_allclose(policy.mean, np.tanh(0.5), rtol=1e-6)
    np.testing.assert_allclose(policy.std, 1.1, rtol=1e-6)  # 2 sigmoid(0) + 0.1
    policy = SquashedNormal.of(jnp.array([10.0]), jnp.array([0.0]), 0.1)
    np.testing.assert_allclose(policy.mean, 5 * np.tanh(2.0), rtol=1e-6)
    np.testing.assert_allclose(policy.std, np.log(2) + 0.1, rtol=1e-6)


@pytest.mark.parametrize("mean", [-20.0, -1.0, 0.0, 20.0])
@pytest.mark.parametrize("noise", [0.0, 1.0 - 2.0**-24])
def test_no_noise_makes_an_infinite_action(mean, noise):
    """The ends of the unit interval, at means that tanh sends to the ends of the actions."""

    def action(mean, std):
        policy = TruncatedNormal.of(mean, std, 0.1)
        return (policy.sample(jnp.full(1, noise, jnp.float32)) + policy.entropy(None)).sum()

    args = (jnp.full(1, mean, jnp.float32), jnp.full(1, -20.0, jnp.float32))
    sample = TruncatedNormal.of(*args, 0.1).sample(jnp.full(1, noise, jnp.float32))
    assert np.abs(sample).max() <= INSIDE + 1e-7
    for value in (action(*args), *jax.grad(action, (0, 1))(*args)):
        assert np.isfinite(value).all()


def test_gradient_reaches_mean_and_deviation():
    def action(mean, std):
        return TruncatedNormal(mean, std).sample(jnp.float32(0.7)).sum()

    by_mean, by_std = jax.grad(action, (0, 1))(jnp.float32(0.1), jnp.float32(0.3))
    step = 1e-4
    for index, value in ((0, by_mean), (1, by_std)):
        ends = []
        for sign in (-1, 1):
            at = [0.1, 0.3]
            at[index] += sign * step
            mean, std = at
            ends.append(stats.truncnorm.ppf(0.7, (-1 - mean) / std, (1 - mean) / std, mean, std))
        np.testing.assert_allclose(value, (ends[1] - ends[0]) / (2 * step), rtol=1e-3)


def test_squashed_normal_is_a_density_over_actions():
    """The density of tanh(x) on a grid integrates to one."""
    policy = SquashedNormal(jnp.array([0.3]), jnp.array([0.6]))
    action = np.linspace(-0.99999, 0.99999, 200001)
    noise = (np.arctanh(action) - 0.3) / 0.6
    log = policy.log_density(jnp.asarray(noise, jnp.float32)[:, None])
    np.testing.assert_allclose(np.trapezoid(np.exp(log), action), 1.0, atol=1e-3)


def test_densest_of_draws_and_estimated_entropy():
    policy = SquashedNormal(jnp.array([0.0]), jnp.array([3.0]))
    noise = jnp.array([[0.0], [1.5], [0.1]])
    # So wide a normal is densest at the ends once it is squashed.
    np.testing.assert_allclose(policy.densest(noise), np.tanh([4.5]), rtol=1e-6)
    narrow = SquashedNormal(jnp.array([0.0]), jnp.array([0.1]))
    np.testing.assert_allclose(narrow.densest(noise), [0.0], atol=1e-7)
    expected = -np.mean([narrow.log_density(n) for n in noise])
    np.testing.assert_allclose(narrow.entropy(noise), expected, rtol=1e-6)
    assert jax.grad(lambda s: SquashedNormal(jnp.zeros(1), s).entropy(noise).sum())(jnp.ones(1))


def test_log_prob_far_out_is_finite():
    policy = SquashedNormal(jnp.array([5.0]), jnp.array([1.0]))
    assert np.isfinite(policy.log_density(jnp.array([40.0])))
    assert np.isfinite(policy.log_prob(jnp.array([1.0])))
    assert np.isfinite(TruncatedNormal(jnp.ones(1), jnp.full(1, 0.1)).log_prob(-jnp.ones(1)))


def test_densities_of_actions():
    policy = TruncatedNormal(jnp.asarray(MEAN, jnp.float32), jnp.asarray(STD, jnp.float32))
    action = np.array([-0.95, 0.2, 0.9])
    expected = reference().logpdf(action).sum()
    np.testing.assert_allclose(policy.log_prob(action), expected, rtol=1e-5)
    squashed = SquashedNormal(policy.mean, policy.std)
    noise = jnp.array([0.5, -1.0, 0.1])
    expected = squashed.log_density(noise)
    np.testing.assert_allclose(squashed.log_prob(squashed.sample(noise)), expected, rtol=1e-4)


@pytest.mark.parametrize("kind", [TruncatedNormal, SquashedNormal])
def test_noise_has_the_asked_shape(kind):
    noise = kind.noise(jax.random.key(0), (4, 3), jnp.float32)
    assert noise.shape == (4, 3) and noise.dtype == jnp.float32
