"""What one can ask the agent of the base `dreamerv3_2025`, as pure functions of its parameters.

See `api.dreamerv3`. `params` are those of `parameters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from harmony_dreamerv3.agents.acting_2025 import TrainState
from harmony_dreamerv3.agents.dreamerv3_2025 import Agent
from harmony_dreamerv3.nets import block_rssm
from harmony_dreamerv3.nets import symexp_twohot as twohot
from harmony_dreamerv3.nets.block_rssm import features
from harmony_dreamerv3.nets.distributions import symexp
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.nets.vectors import classes

Array = jax.Array
Params = dict[str, Any]
Latents = dict[str, Array]  # deter [..., D]; stoch and raw logit [..., S, C]


def parameters(state: TrainState) -> Params:
    """What the functions here need of a train state."""
    return {**state.params, "slow_critic": state.slow_critic, "valnorm": state.norms["valnorm"]}


def observe(agent: Agent, params: Params, batch: dict[str, Array], key: Array) -> Latents:
    """Posteriors `[B, T, ...]` of windows that begin from zeros; see `Model.observe`."""
    c, action = agent.config.agent.rssm, agent.joined_actions(batch)
    before = jnp.concatenate([jnp.zeros_like(action[:, :1]), action[:, :-1]], 1)
    noise = agent.noise(jax.random.gumbel, key, (*action.shape[:2], c.stoch, c.classes))
    start = {k: x for k, x in agent.initial_carry(len(action)).items() if k != "action"}
    tokens = run(agent.encoder, params["encoder"], batch)
    states, logit, _ = block_rssm.observe(
        agent.rssm, params["rssm"], start, tokens, before, batch["is_first"], noise
    )
    return {**states, "logit": logit}


def follow(agent: Agent, params: Params, start: Latents, actions: Array, key: Array) -> Latents:
    """Predictions `[N, H, ...]` from starts `[N, ...]` under actions `[N, H, A]`."""
    given = actions.astype(agent.param_dtype).swapaxes(0, 1)
    return _imagine(agent, params, start, lambda _, action: {"action": action}, given, key)[0]


def dream(
    agent: Agent, params: Params, start: Latents, steps: int, key: Array
) -> tuple[Latents, Array]:
    """Predictions `[N, H, ...]` under the agent's own policy, and its actions `[N, H, A]`."""
    k_action, k_latent = jax.random.split(key)
    draws = agent.action_noise(k_action, (steps, len(start["deter"])))

    def act(state: Latents, noise: Mapping[str, Array]) -> dict[str, Array]:
        dists = run(agent.actor, params["actor"], features(state))
        return {name: dists[name].sample(noise[name]) for name in dists}

    return _imagine(agent, params, start, act, draws, k_latent)


def decode(agent: Agent, params: Params, latents: Latents) -> dict[str, Array]:
    """Predicted observations by key, as the environment gives them; images in [0, 1]."""
    out = run(agent.decoder, params["decoder"], latents["deter"], latents["stoch"])
    for key, space in agent.vectors.items():
        # Vectors are predicted in symlog; of whole numbers the likeliest.
        out[key] = out[key].argmax(-1) if classes(space) else symexp(out[key])
    return out


def reward(agent: Agent, params: Params, latents: Latents) -> Array:
    """Predicted reward `[...]`."""
    return twohot.mean(run(agent.reward, params["reward"], features(latents)))


def cont(agent: Agent, params: Params, latents: Latents) -> Array:
    """Predicted probability `[...]` that the episode does not end there."""
    prob = jax.nn.sigmoid(run(agent.cont, params["cont"], features(latents)))
    # With `contdisc` the head learns gamma (1 - is_terminal).
    return jnp.minimum(prob / agent.discount, 1.0) if agent.config.agent.contdisc else prob


def value(agent: Agent, params: Params, latents: Latents) -> Array:
    """The critic's value `[...]`."""
    feat = features(latents)
    return agent.values(params, params["slow_critic"], feat, params["valnorm"]).value


def _imagine(
    agent: Agent, params: Params, start: Latents, policy: Any, draws: Any, key: Array
) -> tuple[Latents, Array]:
    c, steps = agent.config.agent.rssm, len(jax.tree.leaves(draws)[0])
    noise = agent.noise(jax.random.gumbel, key, (steps, len(start["deter"]), c.stoch, c.classes))
    start = {name: start[name] for name in ("deter", "stoch")}
    states, logit, actions = block_rssm.imagine(
        agent.rssm, params["rssm"], start, policy, (draws, noise)
    )
    swap = lambda tree: jax.tree.map(lambda x: x.swapaxes(0, 1), tree)  # noqa: E731
    return swap({**states, "logit": logit}), swap(block_rssm.join(actions))
