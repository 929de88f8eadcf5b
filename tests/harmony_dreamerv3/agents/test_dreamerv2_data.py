"""What an update takes from a batch, and draws."""

import jax.numpy as jnp
import numpy as np
import tiny
import tiny_v2

KEYS = [np.array([0, seed], np.uint32) for seed in range(3)]


def test_images_are_scaled_and_floats_shifted_alone():
    agent = tiny_v2.make_agent(tiny.spaces(16))
    image = np.array([0, 255], np.uint8).reshape(1, 1, 1, 2, 1)
    batch = {"image": image, "is_first": np.zeros((1, 1), bool)}
    np.testing.assert_allclose(agent.prepare(batch)["image"].ravel(), [-0.5, 0.5])
    assert agent.prepare(batch)["is_first"].dtype == bool
    batch["image"] = image.astype(np.float32) / 255
    np.testing.assert_allclose(agent.prepare(batch)["image"].ravel(), [-0.5, 0.5])


def test_two_views_of_a_batch_but_none_of_an_observation():
    agent = tiny_v2.make_pro()
    batch = tiny.make_batch(agent)
    views = agent.prepare(batch, KEYS[0])
    assert views["image"].shape == (4, 4, 16, 16, 3)
    np.testing.assert_array_equal(views["reward"][:2], views["reward"][2:])
    assert not np.allclose(views["image"][:2], views["image"][2:])
    plain = agent.prepare(batch)["image"]
    np.testing.assert_allclose(plain, batch["image"] / 255 - 0.5, atol=1e-6)
    still = tiny_v2.make_pro(sampling=False).prepare(batch, KEYS[0])["image"]
    np.testing.assert_allclose(still[:2], plain, atol=1e-6)


def test_offsets_are_within_their_bound_and_reach_it():
    draws = tiny_v2.make_pro(prototypes__shift=2.0).offsets(KEYS[0], 500)
    assert draws.shape == (500, 2) and 1.9 < np.abs(draws).max() <= 2.0


def test_an_action_belongs_to_the_observation_that_it_led_to():
    agent = tiny_v2.make_agent()
    action = np.arange(12.0).reshape(1, 4, 3)
    before = agent.previous_actions({"action": action})
    np.testing.assert_array_equal(before[0, 0], 0.0)
    np.testing.assert_array_equal(before[0, 1:], action[0, :-1])
    resets = agent.resets({"is_first": jnp.array([[False, True, False]])})
    np.testing.assert_array_equal(resets, [[True, True, False]])


def test_what_the_reward_head_learns():
    reward = jnp.array([3.0])
    np.testing.assert_array_equal(
        tiny_v2.make_pro(clip_rewards="identity").learned_reward(reward), reward
    )
    np.testing.assert_allclose(tiny_v2.make_agent().learned_reward(reward), np.tanh(3.0), rtol=1e-6)
