"""Acting, and what an update takes from a batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import tiny_v2

from harmony_dreamerv3.agents.dreamerv2_frame import act
from harmony_dreamerv3.nets.policies import OneHot

KEYS = [np.array([0, seed], np.uint32) for seed in range(3)]


@pytest.mark.parametrize("maker", [tiny_v2.make_agent, tiny_v2.make_pro])
def test_evaluation_repeats_the_policy_and_training_explores(maker):
    agent = maker()
    state, batch = jax.jit(agent.init)(KEYS[0]), tiny.make_batch(agent)
    params, carry = agent.policy_params(state), agent.initial_carry(2)
    obs = {k: batch[k][:, 0] for k in agent.obs_keys}
    policy = {m: jax.jit(functools.partial(agent.policy, mode=m)) for m in ("train", "eval")}
    new, action = policy["train"](params, carry, obs, KEYS[1])
    assert action.shape == (2, 3) and np.abs(action).max() <= 1.0
    np.testing.assert_array_equal(new["action"], action)
    assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, carry)
    assert not np.array_equal(action, policy["train"](params, carry, obs, KEYS[2])[1])
    # Latents are drawn in evaluations, too; given them the action is the policy's mode.
    post, _ = (jax.jit(agent.filter)(params, carry, obs, k) for k in jax.random.split(KEYS[1]))
    if maker is tiny_v2.make_agent:
        feat = jnp.concatenate([post["stoch"].reshape(2, -1), post["deter"]], -1)
        expected = agent.net.policy(params["actor"], feat).mode()
        evaluated = policy["eval"](params, carry, obs, KEYS[1])[1]
        np.testing.assert_allclose(evaluated, expected, rtol=1e-5, atol=1e-6)


def test_a_reset_forgets_state_and_action():
    agent = tiny_v2.make_agent()
    state, batch = jax.jit(agent.init)(KEYS[0]), tiny.make_batch(agent)
    obs = {k: batch[k][:, 0] for k in agent.obs_keys}
    fresh = agent.initial_carry(2)
    used = jax.tree.map(lambda x: x + 1.0, fresh)
    observe = jax.jit(agent.filter)
    params = agent.policy_params(state)
    expected = observe(params, fresh, obs, KEYS[1])["deter"]
    np.testing.assert_array_equal(observe(params, used, obs, KEYS[1])["deter"], expected)
    obs["is_first"] = np.zeros(2, bool)
    assert not np.array_equal(observe(params, used, obs, KEYS[1])["deter"], expected)


def test_keys_and_losses():
    agent = tiny_v2.make_agent()
    assert agent.obs_keys == ("position", "speed", "is_first")
    assert set(agent.batch_keys) == {
        "position", "speed", "is_first", "reward", "is_terminal", "action",
    }  # fmt: skip
    assert list(agent.losses.scales) == ["position", "speed", "reward", "discount", "dyn", "rep"]
    assert agent.losses.dims == {"position": 3, "speed": 2}
    assert agent.losses.alpha == pytest.approx(0.8)
    assert list(tiny_v2.make_pro().losses.scales) == [
        "swav",
        "temp",
        "norm",
        "reward",
        "dyn",
        "rep",
    ]


def test_the_kl_balance_stands_even_where_the_kl_weighs_nothing():
    agent = tiny_v2.make_agent(loss_scales__kl=0.0, kl_balance=0.7)
    assert agent.losses.alpha == 0.7
    assert agent.losses.scales["dyn"] == agent.losses.scales["rep"] == 0.0


def test_act():
    policy = OneHot(*[jnp.array([0.0, 1.0], jnp.float32)] * 2)
    np.testing.assert_array_equal(act(policy, None), [0, 1])
    np.testing.assert_array_equal(act(policy, jnp.array([5.0, 0.0])), [1, 0])
