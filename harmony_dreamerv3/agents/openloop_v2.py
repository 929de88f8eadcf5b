"""What a batch looks like to a DreamerV2 model: open-loop predictions and histograms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from harmony_dreamerv3.agents.openloop import OBSERVED, ROWS, describe
from harmony_dreamerv3.nets.layers import full, run
from harmony_dreamerv3.nets.rssm_v2 import State, features, imagine, observe

if TYPE_CHECKING:
    from harmony_dreamerv3.agents.dreamerv2_frame import Frame, TrainState

Array = jax.Array


def open_loop(
    agent: Frame, state: TrainState, batch: Mapping[str, Array], key: Array, observed: int
) -> State:
    """Observes the first steps of windows, then predicts the rest from the actions alone.

    Args:
      agent: the agent.
      state: its train state.
      batch: windows `[B, T, ...]`.
      key: threefry key of the latent draws.
      observed: number of steps that the model sees, in 1..T.

    Returns:
      States `[B, T, ...]`: posteriors, then predictions.
    """
    net, model, obs = agent.net, state.params["world_model"], agent.prepare(batch)
    rows, steps = obs["is_first"].shape
    k_post, k_prior = jax.random.split(key)
    embed = net.apply("encoder", model, state.stats, obs)
    actions, resets = agent.previous_actions(obs), agent.resets(obs)
    embed, before, resets = (x[:, :observed] for x in (embed, actions, resets))
    noise = agent.latent_noise(k_post, (rows, observed))
    post, _ = observe(
        net.rssm, model["rssm"], embed, before, resets, noise, agent.start(rows)
    )  # fmt: skip
    # The recorded actions stand in for the policy's.
    last, given = jax.tree.map(lambda x: x[:, -1], post), actions[:, observed:].swapaxes(0, 1)
    noise = agent.latent_noise(k_prior, (steps - observed, rows))
    states, _ = imagine(net.rssm, model["rssm"], last, lambda _, action: action, given, noise)
    states = jax.tree.map(lambda x: x[1:].swapaxes(0, 1), states)
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), post, states)


def predictions(
    agent: Frame,
    state: TrainState,
    batch: Mapping[str, Array],
    key: Array,
    observed: int,
    *,
    decode: bool,
) -> dict[str, Array]:
    """What `open_loop` predicts: `reward` and `feat` `[B, T, ...]`.

    With `decode` also `image/<key>` `[B, T, H, W, C]` in [0, 1], as far as there are.
    """
    feat = features(open_loop(agent, state, batch, key, observed))
    reward = run(agent.net.reward, state.params["world_model"]["reward"], feat)
    out = {"reward": reward, "feat": full(feat)}
    if decode and agent.net.images:
        recon = agent.net.apply("decoder", state.params["world_model"], state.stats, feat)
        out |= {f"image/{k}": (recon[k] + 0.5).clip(0.0, 1.0) for k in agent.net.images}
    return out


def report(
    agent: Frame, state: TrainState, batch: Mapping[str, Array], key: Array
) -> dict[str, Any]:
    """Heavy metrics of one batch; see `openloop.report`. With prototypes there is no video."""
    batch = {k: v[:ROWS] for k, v in batch.items()}
    net, model = agent.net, state.params["world_model"]
    observed = min(OBSERVED, batch["is_first"].shape[1])
    feat = features(open_loop(agent, state, batch, key, observed))
    recon = {} if net.prototypes else net.apply("decoder", model, state.stats, feat)
    images = {name: recon[name] + 0.5 for name in net.images}
    reward = run(net.reward, model["reward"], feat)
    discount = jnp.full_like(reward, agent.c.discount)
    if agent.c.predict_discount:
        discount = jax.nn.sigmoid(run(net.discount, model["discount"], feat))
    value = run(net.critic, state.params["critic"], feat)
    batch["reward"] = agent.learned_reward(batch["reward"])
    return describe(batch, observed, images, reward, discount, value)
