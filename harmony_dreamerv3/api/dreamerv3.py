"""What one can ask the agent of the base `dreamerv3`, as pure functions of its parameters.

A module of this name for each base: `Model` calls the same functions of all.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from harmony_dreamerv3.agents.dreamerv3 import Agent
from harmony_dreamerv3.nets.distributions import symexp
from harmony_dreamerv3.nets.layers import full, run
from harmony_dreamerv3.nets.rssm import features, imagine

Array = jax.Array
Params = dict[str, Any]
Latents = dict[str, Array]  # deter [..., D], stoch [..., S, C], logit [..., S, C]


def observe(agent: Agent, params: Params, batch: dict[str, Array], key: Array) -> Latents:
    """Posteriors `[B, T, ...]` of windows; see `Model.observe`."""
    action, c = full(batch["action"]), agent.config.agent.rssm
    before = jnp.concatenate([jnp.zeros_like(action[:, :1]), action[:, :-1]], 1)
    noise = jax.random.gumbel(key, (*batch["is_first"].shape, c.stoch, c.classes))
    return agent.wm.observe(params["world_model"], batch, before, noise)[0]


def follow(agent: Agent, params: Params, start: Latents, actions: Array, key: Array) -> Latents:
    """Predictions `[N, H, ...]` from starts `[N, ...]` under actions `[N, H, A]`."""
    c, (rows, steps) = agent.config.agent.rssm, actions.shape[:2]
    noise = jax.random.gumbel(key, (steps, rows, c.stoch, c.classes))
    # The rollout asks for one more action after the last state; it leads nowhere.
    given = jnp.concatenate([actions, actions[:, -1:]], 1).swapaxes(0, 1)
    model = params["world_model"]["rssm"]
    states, _ = imagine(agent.wm.rssm, model, start, lambda _, action: action, full(given), noise)
    return jax.tree.map(lambda x: x[1:].swapaxes(0, 1), states)


def dream(
    agent: Agent, params: Params, start: Latents, steps: int, key: Array
) -> tuple[Latents, Array]:
    """Predictions `[N, H, ...]` under the agent's own policy, and its actions `[N, H, A]`."""
    c, rows = agent.config.agent.rssm, len(start["deter"])
    k_action, k_latent = jax.random.split(key)
    noise = jax.random.gumbel(k_latent, (steps, rows, c.stoch, c.classes))
    draws = agent.action_noise(k_action, (steps + 1, rows))

    def act(latent: Latents, eps: Array) -> Array:
        return agent.behavior.sample(params["actor"], features(latent), eps)

    model = params["world_model"]["rssm"]
    states, actions = imagine(agent.wm.rssm, model, start, act, draws, noise)
    states = jax.tree.map(lambda x: x[1:].swapaxes(0, 1), states)
    return states, actions[:steps].swapaxes(0, 1)


def decode(agent: Agent, params: Params, latents: Latents) -> dict[str, Array]:
    """Predicted observations by key; images in [0, 1], vectors as the environment gives them."""
    found = run(agent.wm.decoder, params["world_model"]["decoder"], features(latents))
    # Vectors are predicted in symlog; images as they are.
    return {key: value if key in agent.wm.images else symexp(value) for key, value in found.items()}


def reward(agent: Agent, params: Params, latents: Latents) -> Array:
    """Predicted reward `[...]`."""
    return agent.wm.predict(params["world_model"], features(latents))[0]


def cont(agent: Agent, params: Params, latents: Latents) -> Array:
    """Predicted probability `[...]` that the episode does not end there."""
    return agent.wm.predict(params["world_model"], features(latents))[1]


def value(agent: Agent, params: Params, latents: Latents) -> Array:
    """The critic's value `[...]`."""
    return agent.behavior.value(params["critic"], features(latents))
