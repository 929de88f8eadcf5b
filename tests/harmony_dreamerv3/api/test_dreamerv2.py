"""Questions to a DreamerV2 model, answered alike by what training uses."""

import jax
import numpy as np
import pytest
import tiny
import tiny_v2

from embodied.core.errors import UserError
from harmony_dreamerv3.api import dreamerv2 as api

KEY = np.array([0, 1], np.uint32)


@pytest.fixture(scope="module")
def asked():
    """An agent of vectors that draws modes, its parameters, a batch, posteriors."""
    agent = tiny_v2.make_agent(sampling=False)
    state, batch = jax.jit(agent.init)(KEY), tiny.make_batch(agent)
    params = api.parameters(state)
    observe = jax.jit(lambda batch: api.observe(agent, params, batch, KEY))
    return agent, state, params, batch, observe(batch)


def test_posteriors_are_those_of_training(asked):
    agent, state, _, batch, latents = asked
    losses = jax.jit(agent.model_losses)
    _, aux = losses(state.params["world_model"], state, batch, KEY)
    np.testing.assert_allclose(latents["deter"], aux["post"]["deter"], rtol=1e-5, atol=1e-6)


def test_predictions_answer_for_every_step(asked):
    agent, state, params, batch, latents = asked
    losses = jax.jit(agent.model_losses)
    _, aux = losses(state.params["world_model"], state, batch, KEY)
    np.testing.assert_allclose(api.reward(agent, params, latents), aux["reward"], atol=1e-5)
    cont = np.minimum(np.asarray(aux["discount"]) / 0.9, 1.0)
    np.testing.assert_allclose(api.cont(agent, params, latents), cont, atol=1e-5)
    recon = api.decode(agent, params, latents)
    np.testing.assert_allclose(recon["position"], aux["slot"]["position"], atol=1e-5)
    assert api.value(agent, params, latents).shape == (2, 4)


def test_what_the_policy_dreams_follows_from_its_actions(asked):
    agent, _, params, _, latents = asked
    start = jax.tree.map(lambda x: x[:, -1], latents)
    states, actions = api.dream(agent, params, start, 3, KEY)
    assert actions.shape == (2, 3, 3) and states["deter"].shape == (2, 3, 8)
    again = api.follow(agent, params, start, actions, KEY)
    np.testing.assert_allclose(again["deter"], states["deter"], rtol=1e-5, atol=1e-6)


def test_images_are_in_the_unit_interval_and_prototypes_have_none():
    agent = tiny_v2.make_agent(tiny.spaces(16), predict_discount=False)
    state, batch = jax.eval_shape(agent.init, KEY), tiny.make_batch(agent)

    def decode(state, batch):
        params = api.parameters(state)
        latents = api.observe(agent, params, batch, KEY)
        return api.decode(agent, params, latents), api.cont(agent, params, latents)

    recon, cont = jax.eval_shape(decode, state, batch)
    assert recon["image"].shape == (2, 4, 16, 16, 3) and cont.shape == (2, 4)
    with pytest.raises(UserError, match="has no decoder"):
        api.decode(tiny_v2.make_pro(), {}, {})
