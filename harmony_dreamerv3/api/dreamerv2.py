"""What one can ask the agent of the base `dreamerv2`, as pure functions of its parameters.

See `api.dreamerv3`. `params` are those of `parameters`: moving statistics of batch norms beside
what is trained.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from embodied.core.errors import UserError
from harmony_dreamerv3.agents.dreamerv2 import Agent
from harmony_dreamerv3.agents.dreamerv2_frame import TrainState, act
from harmony_dreamerv3.nets import rssm_v2 as rssm
from harmony_dreamerv3.nets.layers import run

Array = jax.Array
Params = dict[str, Any]
Latents = dict[str, Array]  # deter, stoch, and logit or mean and std, [..., ...]


def parameters(state: TrainState) -> Params:
    """What the functions here need of a train state."""
    return {**state.params, "stats": state.stats}


def observe(agent: Agent, params: Params, batch: dict[str, Array], key: Array) -> Latents:
    """Posteriors `[B, T, ...]` of windows; see `Model.observe`."""
    model, obs = params["world_model"], agent.prepare(batch)
    lead = obs["is_first"].shape
    embed = agent.net.apply("encoder", model, params["stats"], obs)
    before, resets = agent.previous_actions(obs), agent.resets(obs)
    noise = agent.latent_noise(key, lead)
    start = agent.start(lead[0])
    return rssm.observe(agent.net.rssm, model["rssm"], embed, before, resets, noise, start)[0]


def follow(agent: Agent, params: Params, start: Latents, actions: Array, key: Array) -> Latents:
    """Predictions `[N, H, ...]` from starts `[N, ...]` under actions `[N, H, A]`."""
    given = actions.astype(agent.param_dtype).swapaxes(0, 1)
    noise = agent.latent_noise(key, given.shape[:2])
    states, _ = rssm.imagine(
        agent.net.rssm, params["world_model"]["rssm"], start, lambda _, action: action, given, noise
    )
    return jax.tree.map(lambda x: x[1:].swapaxes(0, 1), states)


def dream(
    agent: Agent, params: Params, start: Latents, steps: int, key: Array
) -> tuple[Latents, Array]:
    """Predictions `[N, H, ...]` under the agent's own policy, and its actions `[N, H, A]`."""
    shape, (k_action, k_latent) = (steps, len(start["deter"])), jax.random.split(key)
    states, actions = rssm.imagine(
        agent.net.rssm, params["world_model"]["rssm"], start,
        lambda feat, noise: act(agent.net.policy(params["actor"], feat), noise),
        agent.action_noise(k_action, shape), agent.latent_noise(k_latent, shape),
    )  # fmt: skip
    return jax.tree.map(lambda x: x[1:].swapaxes(0, 1), states), actions.swapaxes(0, 1)


def decode(agent: Agent, params: Params, latents: Latents) -> dict[str, Array]:
    """Predicted observations by key; images in [0, 1], vectors as the environment gives them.

    Raises:
      UserError: with prototypes, which predict no observation.
    """
    if agent.net.prototypes:
        raise UserError("decode: a model of prototypes (DreamerPro) has no decoder")
    feat = rssm.features(latents)
    recon = agent.net.apply("decoder", params["world_model"], params["stats"], feat)
    return {k: x + 0.5 if k in agent.net.images else x for k, x in recon.items()}


def reward(agent: Agent, params: Params, latents: Latents) -> Array:
    """Predicted reward `[...]`; its tanh where `clip_rewards` is tanh."""
    return run(agent.net.reward, params["world_model"]["reward"], rssm.features(latents))


def cont(agent: Agent, params: Params, latents: Latents) -> Array:
    """Predicted probability `[...]` that the episode does not end there; 1 without such a head."""
    feat = rssm.features(latents)
    if not agent.c.predict_discount:
        return jnp.ones(feat.shape[:-1], agent.param_dtype)
    logit = run(agent.net.discount, params["world_model"]["discount"], feat)
    # The head learns gamma (1 - is_terminal).
    return jnp.minimum(jax.nn.sigmoid(logit) / agent.c.discount, 1.0)


def value(agent: Agent, params: Params, latents: Latents) -> Array:
    """The critic's value `[...]`."""
    return run(agent.net.critic, params["critic"], rssm.features(latents))
