"""What a bundle is turned into, and what is said of those that cannot be."""

import copy
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3.interop import bundle, recorded_v2, states_v2

GOLDEN = Path(__file__).parents[2] / "golden"
KEY = np.zeros(2, np.uint32)


def given(name: str = "v2/v2_metaworld_baseline") -> bundle.Bundle:
    return copy.deepcopy(bundle.read(GOLDEN / f"{name}.npz"))


def build(given: bundle.Bundle):
    agent = recorded_v2.build(given)[0]
    recorded_v2.batch(given, agent)
    return recorded_v2.load(agent, states_v2.naming(agent), given)


def test_draws_of_the_torch_code():
    agent = recorded_v2.build(given("v2/v2_dmcr_harmony_actor_noise"))[0]
    assert not agent.latent_noise(KEY, (2,)).any()
    assert agent.action_noise(KEY, (5, 24)).shape == (5, 24, 6)
    assert agent.action_noise(KEY, (3,)) is None  # of the policy: the mode


def test_draws_of_dreamerpro():
    agent = recorded_v2.build(given("pro/pro_fixed_noise"))[0]
    wave = 0.8 * np.sin(1 + np.arange(6))
    np.testing.assert_allclose(agent.latent_noise(KEY, (2,))[1], wave, rtol=1e-5)
    np.testing.assert_allclose(agent.entropy_noise(KEY, (2,))[0, 1], wave[:3], rtol=1e-5)
    assert not agent.resets({"is_first": jnp.ones((1, 2), bool)}).any()


def test_a_carry_begins_where_it_says():
    agent = recorded_v2.build(given("v2/v2_rlbench_resnet_harmony"))[0]
    assert set(agent.start(3)) == {"deter", "stoch"} and agent.start(3)["deter"].any()
    first = jnp.zeros((3, 8), bool)
    np.testing.assert_array_equal(agent.resets({"is_first": first}), first)


@pytest.mark.parametrize(
    ("model", "slow", "count"), [(5, 5, 5), (9999, 99, 9999), (20000, 5, 20005), (0, 0, 0)]
)
def test_one_count_stands_for_two(model, slow, count):
    bundle = given("pro/pro_norm_off_frozen")
    bundle.meta.update(wm_updates_before=model, slow_critic_updates_before=slow)
    assert int(build(bundle).updates) == count


def test_counts_that_no_one_count_stands_for():
    bundle = given("pro/pro_norm_off_frozen")
    bundle.meta.update(wm_updates_before=9999, slow_critic_updates_before=5)
    with pytest.raises(UserError, match="no one count of updates stands for"):
        build(bundle)


def broken(change: str) -> bundle.Bundle:
    b = given("pro/pro_norm_off_frozen" if change.startswith("pro") else "v2/v2_metaworld_baseline")
    name = "wm.rssm.obs_out.weight"
    match change:
        case "no config":
            del b.meta["config"]
        case "variable":
            del b.params[name]
        case "surplus":
            b.params["wm.extra"] = np.zeros(3, np.float32)
        case "turned":
            b.params[name] = b.params[name].T
        case "axes":
            b.params[name] = b.params[name].ravel()
        case "batch":
            del b.batch["reward"]
        case "image":
            b.batch["image"] = b.batch["image"].astype(np.float32)
        case "short":
            b.batch["action"] = b.batch["action"][:, 1:]
        case "space":
            del b.meta["obs_space"]["is_terminal"]
        case "count":
            b.meta["slow_target_updates_before"] = "many"
        case "huge":
            b.meta["config"]["rssm.deter"] = 10**9
        case "pro shift":
            del b.more["aug"]["shift2"]
        case "pro image":
            del b.batch["image"]
    return b


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no config", "meta.config must be the whole configuration"),
        ("variable", "lack 'wm.rssm.obs_out.weight'"),
        ("surplus", "surplus 'wm.extra'"),
        ("turned", r"obs_out.weight: expected floats \(24, 160\)"),
        ("axes", "obs_out.weight: expected floats"),
        ("batch", "lacks 'reward'"),
        ("image", "batch/image: expected uint8, got float32"),
        ("short", "batch/action: expected shape"),
        ("space", "must have the scalar 'is_terminal'"),
        ("count", "must have counts of updates"),
        ("huge", r"expected floats \(1000000030, 16\)"),
        ("pro shift", "aug/shift2 of shape"),
        ("pro image", "must have image"),
    ],
)
def test_what_cannot_be_built_is_named(change, message):
    with pytest.raises(UserError, match=message):
        build(broken(change))
