"""Questions to a model of the 2025 base, answered alike by what training uses."""

import jax
import numpy as np
import pytest
import tiny

from embodied.core.space import Space
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.agents.dreamerv3_2025 import Agent
from harmony_dreamerv3.api import dreamerv3_2025 as api
from harmony_dreamerv3.nets import symexp_twohot

KEY = np.array([0, 1], np.uint32)
OUTS = {"reward_head.outscale": 1.0, "critic.outscale": 1.0}


@pytest.fixture(scope="module")
def asked():
    """An agent that draws modes, its state, a batch that begins from zeros, and answers."""
    flags = {"run.replay_context": 0, "valnorm.impl": "meanstd", "valnorm.debias": False, **OUTS}
    config = configs.make(["debug_2025"], {"batch_size": 2, "batch_length": 4, **flags})
    spaces = tiny.spaces(16, {"position": 3}) | {"count": Space(np.int32, (), 0, 4)}
    actions = {"action": Space(np.float32, (3,), discrete=True)}
    agent = Agent(config, spaces, actions, sampling=False)
    state, batch = jax.jit(agent.init)(KEY), tiny.make_batch(agent)
    batch["count"] = np.array([[0, 1, 2, 3], [4, 3, 2, 1]], np.int32)

    @jax.jit
    def answers(state, batch):
        params = api.parameters(state)
        latents = api.observe(agent, params, batch, KEY)
        start = jax.tree.map(lambda x: x[:, -1], latents)
        dream, actions = api.dream(agent, params, start, 3, KEY)
        said = {name: getattr(api, name)(agent, params, latents) for name in
                ("reward", "cont", "value", "decode")}  # fmt: skip
        again = api.follow(agent, params, start, actions, KEY)
        return {**said, "latents": latents, "dream": dream, "actions": actions, "again": again}

    draws = agent.draws(np.zeros((3, 2), np.uint32), batch)
    _, aux = jax.jit(agent.losses)(state.params, state, batch, draws)
    return agent, batch, aux, answers(state, batch)


def test_answers_are_those_of_training(asked):
    agent, _, aux, said = asked
    world = aux["world"]
    for name in ("deter", "stoch"):
        np.testing.assert_allclose(said["latents"][name], world["post"][name], atol=1e-5)
    np.testing.assert_allclose(said["reward"], symexp_twohot.mean(world["reward"]), rtol=1e-4)
    cont = np.minimum(np.asarray(jax.nn.sigmoid(world["cont"])) / agent.discount, 1.0)
    np.testing.assert_allclose(said["cont"], cont, rtol=1e-4)
    # Imagination starts from these states, row after row, before the statistics move.
    np.testing.assert_allclose(said["value"].reshape(-1), aux["imag"]["val"][0], rtol=1e-3)


def test_what_is_decoded_has_the_units_of_the_environment(asked):
    _, _, aux, said = asked
    recon, out = aux["world"]["recon"], said["decode"]
    assert (
        out["image"].shape == (2, 4, 16, 16, 3)
        and 0 <= out["image"].min() <= out["image"].max() <= 1
    )
    np.testing.assert_allclose(
        np.sign(out["position"]) * np.log1p(np.abs(out["position"])), recon["position"], atol=1e-5
    )
    np.testing.assert_array_equal(out["count"], np.argmax(recon["count"], -1))


def test_what_the_policy_dreams_follows_from_its_actions(asked):
    said = asked[-1]
    assert said["actions"].shape == (2, 3, 3) and said["dream"]["logit"].shape == (2, 3, 4, 4)
    for name in ("deter", "stoch", "logit"):
        np.testing.assert_allclose(said["again"][name], said["dream"][name], atol=1e-5)
