"""What the 2025 agent says of itself: scalars of an update, open-loop predictions of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import optax

from harmony_dreamerv3.agents import openloop
from harmony_dreamerv3.nets import symexp_twohot as twohot
from harmony_dreamerv3.nets.block_rssm import State, features, imagine, observe
from harmony_dreamerv3.nets.distributions import categorical_entropy, unimix
from harmony_dreamerv3.nets.layers import run

if TYPE_CHECKING:
    from harmony_dreamerv3.agents.acting_2025 import Acting, TrainState
    from harmony_dreamerv3.agents.dreamerv3_2025 import Agent

Array = jax.Array


def metrics(
    agent: Agent, aux: Mapping[str, Any], grads: Mapping[str, Any], total: Array, norm: Array
) -> dict[str, Array]:
    """Scalars of an update by name, from what `Agent.loss` returns and its gradients."""
    imag, world = aux["imag"], aux["world"]
    latents = {"post": world["logit"], "prior": world["prior"]}
    logits = {k: unimix(x, agent.config.agent.rssm.unimix) for k, x in latents.items()}
    return {
        "loss/model": total,
        **{f"loss/{k}": x.mean() for k, x in aux["losses"].items()},
        **{f"balance/{k}": x for k, x in aux["metrics"].items()},
        **{f"{k}_entropy": categorical_entropy(x).sum(-1).mean() for k, x in logits.items()},
        "grad_norm/model": norm,
        "grad_share/reward": optax.tree.norm(grads["reward"]) / jnp.maximum(norm, 1e-20),
        "return_mean": imag["ret"].mean(),
        "return_std": imag["ret"].std(),
        "return_scale": jnp.asarray(imag["retnorm_scale"]),
        "reward_mean": imag["rew"].mean(),
        "value_mean": imag["val"].mean(),
        "advantage_magnitude": jnp.abs(imag["adv"]).mean(),
        "policy_entropy": sum(imag["entropy"].values()).mean(),
        "cont_rate": imag["con"].mean(),
        "replay_return_mean": aux["repl"]["ret"].mean(),
    }


def open_loop(
    agent: Acting, params: Mapping[str, Any], obs: Mapping[str, Array], start: State,
    action: Array, key: Array, observed: int,
) -> State:  # fmt: skip
    """Observes the first steps of windows, then predicts the rest from the actions alone.

    Args:
      agent: the agent.
      params: of all modules.
      obs: observations `[B, T, ...]`.
      start: states `[B, ...]` before the first step.
      action: `[B, T, A]`, the action that led to each step.
      key: threefry key of the latent draws.
      observed: number of steps that the model sees, in 1..T.

    Returns:
      States `[B, T, ...]`: posteriors, then predictions.
    """
    c, (rows, steps) = agent.config.agent.rssm, obs["is_first"].shape
    k_post, k_prior = jax.random.split(key)
    noise = agent.noise(jax.random.gumbel, k_post, (rows, observed, c.stoch, c.classes))
    tokens = run(agent.encoder, params["encoder"], obs)
    seen = (tokens[:, :observed], action[:, :observed], obs["is_first"][:, :observed])
    post, _, _ = observe(agent.rssm, params["rssm"], start, *seen, noise)
    # The recorded actions stand in for the policy's.
    noise = agent.noise(jax.random.gumbel, k_prior, (steps - observed, rows, c.stoch, c.classes))
    last, given = jax.tree.map(lambda x: x[:, -1], post), action[:, observed:].swapaxes(0, 1)
    ahead, _, _ = imagine(
        agent.rssm, params["rssm"], last, lambda _, action: {"action": action}, (given, noise)
    )
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b.swapaxes(0, 1)], 1), post, ahead)


def report(
    agent: Acting, state: TrainState, batch: Mapping[str, Array], key: Array
) -> dict[str, Array]:
    """Heavy metrics of one batch `[B, C + T, ...]`; see `openloop.describe`."""
    batch = {k: x[: openloop.ROWS] for k, x in batch.items()}
    # The carry belongs to the batch that comes next in training, not to this one.
    obs, start, action = agent.window({}, batch)
    params, observed = state.params, min(openloop.OBSERVED, obs["is_first"].shape[1])
    states = open_loop(agent, params, obs, start, action, key, observed)
    feat = features(states)
    recon = run(agent.decoder, params["decoder"], states["deter"], states["stoch"])
    critics = agent.values(params, state.slow_critic, feat, state.norms["valnorm"])
    return openloop.describe(
        obs, observed, {name: recon[name] for name in agent.images},
        twohot.mean(run(agent.reward, params["reward"], feat)),
        jax.nn.sigmoid(run(agent.cont, params["cont"], feat)),
        critics.value,
    )  # fmt: skip
