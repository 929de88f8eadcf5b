"""What the 2025 agent says of itself: scalars of an update, open-loop predictions of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import optax

from harmony_dreamerv3.agents import openloop
from harmony_dreamerv3.nets import symexp_twohot as twohot
from harmony_dreamerv3.nets.block_rssm import features, imagine, observe
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


def report(
    agent: Acting, state: TrainState, batch: Mapping[str, Array], key: Array
) -> dict[str, Array]:
    """Heavy metrics of one batch `[B, C + T, ...]`; see `openloop.describe`."""
    batch = {k: x[: openloop.ROWS] for k, x in batch.items()}
    # The carry belongs to the batch that comes next in training, not to this one.
    obs, start, action = agent.window({}, batch)
    params, c = state.params, agent.config.agent.rssm
    rows, steps = obs["is_first"].shape
    seen = min(openloop.OBSERVED, steps)
    k_post, k_prior = jax.random.split(key)
    noise = agent.noise(jax.random.gumbel, k_post, (rows, seen, c.stoch, c.classes))
    tokens = run(agent.encoder, params["encoder"], obs)
    post, _, _ = observe(
        agent.rssm, params["rssm"], start, tokens[:, :seen], action[:, :seen],
        obs["is_first"][:, :seen], noise,
    )  # fmt: skip
    # The recorded actions stand in for the policy's.
    noise = agent.noise(jax.random.gumbel, k_prior, (steps - seen, rows, c.stoch, c.classes))
    last = jax.tree.map(lambda x: x[:, -1], post)
    ahead, _, _ = imagine(
        agent.rssm, params["rssm"], last, lambda _, action: {"action": action},
        (action[:, seen:].swapaxes(0, 1), noise),
    )  # fmt: skip
    states = jax.tree.map(lambda a, b: jnp.concatenate([a, b.swapaxes(0, 1)], 1), post, ahead)
    feat = features(states)
    recon = run(agent.decoder, params["decoder"], states["deter"], states["stoch"])
    critics = agent.values(params, state.slow_critic, feat, state.norms["valnorm"])
    return openloop.describe(
        obs, seen, {name: recon[name] for name in agent.images},
        twohot.mean(run(agent.reward, params["reward"], feat)),
        jax.nn.sigmoid(run(agent.cont, params["cont"], feat)),
        critics.value,
    )  # fmt: skip
