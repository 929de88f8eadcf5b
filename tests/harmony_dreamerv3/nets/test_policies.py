"""Policies of several parts and under a mask, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.nets import policies, policies_v2
from harmony_dreamerv3.nets.distributions import unimix
from harmony_dreamerv3.nets.policies import Joint, Normal, OneHot

LOGITS = jnp.log(jnp.array([0.2, 0.5, 0.3]))
CHOICE = OneHot(LOGITS, LOGITS)
PUSH = Normal(jnp.array([0.5, -0.5]), jnp.array([1.0, 2.0]))
JOINT = Joint((CHOICE, PUSH), (3, 2))
EACH = (np.log([1.0, 2.0]) + 0.5 * np.log(2 * np.pi * np.e)).sum()  # Entropy of the two normals.


def test_one_hot():
    np.testing.assert_array_equal(CHOICE.mode(), [0, 1, 0])
    np.testing.assert_array_equal(CHOICE.sample(jnp.array([9.0, 0.0, 0.0])), [1, 0, 0])
    np.testing.assert_allclose(CHOICE.log_prob(jnp.array([0.0, 0.0, 1.0])), np.log(0.3), rtol=1e-5)
    expected = -(0.2 * np.log(0.2) + 0.5 * np.log(0.5) + 0.3 * np.log(0.3))
    np.testing.assert_allclose(CHOICE.entropy(None), expected, rtol=1e-5)
    noise = OneHot.noise(jax.random.key(0), (4, 3), jnp.float32)
    assert noise.shape == (4, 3) and noise.dtype == jnp.float32


def test_parts_are_drawn_one_after_another():
    # Gumbel noise lifts the last choice; mean + std * noise for the numbers.
    action = JOINT.sample(jnp.array([0.0, 0.0, 9.0, 1.0, -1.0]))
    np.testing.assert_allclose(action, [0, 0, 1, 1.5, -2.5])


def test_log_probabilities_and_entropies_add_up():
    action = jnp.array([0.0, 0.0, 1.0, 1.5, -2.5])
    # Both numbers lie one deviation off.
    numbers = -0.5 * 2 - np.log(2.0) - np.log(2 * np.pi)
    np.testing.assert_allclose(JOINT.log_prob(action), np.log(0.3) + numbers, rtol=1e-5)
    choice = -(0.2 * np.log(0.2) + 0.5 * np.log(0.5) + 0.3 * np.log(0.3))
    np.testing.assert_allclose(JOINT.entropy(), choice + EACH, rtol=1e-5)


def test_the_only_part_is_itself():
    assert policies.joint([PUSH], [2]) is PUSH
    key = jax.random.key(0)
    alone = policies.noise([jax.random.normal], [2], key, (4,), jnp.float32)
    np.testing.assert_array_equal(alone, jax.random.normal(key, (4, 2)))


def test_parts_have_noise_of_their_own():
    draws = [jax.random.gumbel, jax.random.normal, jax.random.normal]
    noise = policies.noise(draws, [3, 2, 2], jax.random.key(0), (500,), jnp.float32)
    assert noise.shape == (500, 7)
    correlation = np.corrcoef(np.asarray(noise).T) - np.eye(7)
    assert np.abs(correlation).max() < 0.2
    np.testing.assert_allclose(noise[:, :3].mean(), np.euler_gamma, atol=0.15)


def test_a_mask_leaves_the_allowed_in_proportion():
    policy = policies.obey(CHOICE, jnp.array([1.0, 0.0, 1.0]))
    np.testing.assert_allclose(jnp.exp(policy.logits), [0.4, 0.0, 0.6], rtol=1e-5)
    # However far the noise goes.
    np.testing.assert_array_equal(policy.sample(jnp.array([0.0, 99.0, 0.0])), [0, 0, 1])
    assert policies.obey(CHOICE, None) is CHOICE
    # Where an episode ends all may be forbidden: then nothing is.
    free = policies.obey(CHOICE, jnp.zeros(3))
    np.testing.assert_allclose(free.logits, LOGITS, rtol=1e-5)


def test_a_mask_of_parts_touches_choices_only():
    policy = policies.obey(JOINT, jnp.array([0.0, 0.0, 1.0, 0.0, 0.0]))
    assert policy.parts[1] is PUSH
    np.testing.assert_allclose(jnp.exp(policy.parts[0].logits), [0, 0, 1])


def test_the_uniform_share_goes_to_the_allowed_too():
    sure = jnp.array([50.0, 0.0, 0.0])
    policy = policies.obey(OneHot(sure, unimix(sure, 0.03)), jnp.array([0.0, 1.0, 1.0]))
    np.testing.assert_allclose(jnp.exp(policy.logits), [0, 0.5, 0.5], rtol=1e-5)


@pytest.mark.parametrize("kind", [policies_v2.TruncatedNormal, policies_v2.SquashedNormal])
def test_those_of_dreamerv2(kind):
    numbers = kind(jnp.array([0.3]), jnp.array([0.5]))
    policy = Joint((CHOICE, numbers), (3, 1))
    noise = jnp.array([[0.0, 0.0, 9.0, 0.25]])
    action = policy.sample(noise)[0]
    np.testing.assert_array_equal(action[:3], [0, 0, 1])
    expected = np.log(0.3) + numbers.log_prob(action[3:])
    np.testing.assert_allclose(policy.log_prob(action), expected, rtol=1e-5)
    entropy = policy.parts[0].entropy(None) + numbers.entropy(noise[:, 3:])
    np.testing.assert_allclose(policy.entropy(noise), entropy, rtol=1e-5)
    np.testing.assert_allclose(policy.mode(), [0, 1, 0, *numbers.mode()], rtol=1e-6)
    masked = policies.obey(policy, jnp.array([1.0, 0.0, 0.0, 0.0])).mode()
    np.testing.assert_allclose(masked, [1, 0, 0, *numbers.mode()], rtol=1e-6)
