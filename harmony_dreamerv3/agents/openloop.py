"""What a batch looks like to the model: open-loop predictions and histograms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from harmony_dreamerv3.nets.layers import full, run
from harmony_dreamerv3.nets.rssm import State, features, imagine

if TYPE_CHECKING:
    from harmony_dreamerv3.agents.dreamerv3_frame import Frame

Array = jax.Array

ROWS = 6  # windows shown side by side
LABELS = ("truth", "model", "error")  # of a film's rows
STRIP = 36  # pixels that they take
OBSERVED = 5  # steps seen before the model predicts open loop


def open_loop(
    agent: Frame, model: Any, batch: dict[str, Array], key: Array, observed: int
) -> tuple[State, Array]:
    """Observes the first steps, 1 to T, of windows `[B, T, ...]`, then predicts from actions alone.

    Returns:
      States `[B, T, ...]`: posteriors, then predictions; and features `[B, T, F]`.
    """
    wm, c = agent.wm, agent.config.agent.rssm
    action = full(batch["action"])
    rows, steps = action.shape[:2]
    prev_action = jnp.concatenate([jnp.zeros_like(action[:, :1]), action[:, :-1]], 1)
    k_post, k_prior = jax.random.split(key)
    noise = jax.random.gumbel(k_post, (rows, observed, c.stoch, c.classes))
    seen = {k: v[:, :observed] for k, v in batch.items()}
    post, _, _ = wm.observe(model, seen, prev_action[:, :observed], noise)
    if observed == steps:
        return post, features(post)
    noise = jax.random.gumbel(k_prior, (steps - observed, rows, c.stoch, c.classes))
    last = jax.tree.map(lambda x: x[:, -1], post)
    # The recorded actions stand in for the policy's; the first leads to step `observed`.
    actions = jnp.concatenate([action[:, observed - 1 : -1], action[:, -1:]], 1).swapaxes(0, 1)
    states, _ = imagine(wm.rssm, model["rssm"], last, lambda _, action: action, actions, noise)
    states = jax.tree.map(lambda x: x[1:].swapaxes(0, 1), states)
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), post, states)
    return joined, features(joined)


def report(agent: Frame, state: Any, batch: Mapping[str, Array], key: Array) -> dict[str, Any]:
    """Heavy metrics of a batch `[B, T, ...]`.

    Returns:
      `openloop/<image>/video` uint8 `[T, 3 H, rows * W, C]` (truth, model, error), scalar
      errors of open-loop predictions, and `.../hist` arrays of one axis.
    """
    batch = {k: v[:ROWS] for k, v in batch.items()}
    model = state.params["world_model"]
    observed = min(OBSERVED, batch["is_first"].shape[1])
    _, feat = open_loop(agent, model, batch, key, observed)
    recon = run(agent.wm.decoder, model["decoder"], feat)
    reward, cont = agent.wm.predict(model, feat)
    value = agent.behavior.value(state.params["critic"], feat)
    images = {name: recon[name] for name in agent.wm.images}
    return describe(batch, observed, images, reward, cont, value)


def describe(
    batch: Mapping[str, Array],
    observed: int,
    images: Mapping[str, Array],
    reward: Array,
    cont: Array,
    value: Array,
) -> dict[str, Any]:
    """Compares predictions of which the first `observed` steps saw the observation; see `report`.

    Args:
      batch: what came, `[B, T, ...]`.
      observed: how many steps were seen.
      images: predictions `[B, T, H, W, C]` of x / 255, by key.
      reward, cont, value: predictions `[B, T]`, `cont` of the probability to continue.
    """
    out: dict[str, Any] = {}
    valid = same_episode(batch["is_first"], observed)
    counted = valid.at[:, :observed].set(False)  # [B, T]

    def error(squares: Array) -> Array:
        """Mean over the steps that count; 0 where none does."""
        steps = squares.reshape(*counted.shape, -1).mean(-1)
        return jnp.where(counted, steps, 0).sum() / jnp.maximum(counted.sum(), 1)

    for name, recon in images.items():
        truth = batch[name].astype(recon.dtype) / 255.0
        out[f"openloop/{name}/video"] = film(truth, recon, observed, valid)
        out[f"openloop/{name}/error"] = error(jnp.square(truth - recon))
    out["openloop/reward/error"] = error(jnp.abs(reward - batch["reward"]))
    out["openloop/reward/hist"] = reward.reshape(-1)
    out["replay/reward/hist"] = batch["reward"].reshape(-1)
    out["openloop/value/hist"] = value.reshape(-1)
    out["openloop/cont/hist"] = cont.reshape(-1)
    return out


def same_episode(is_first: Array, observed: int) -> Array:
    """Steps `[B, T]` before another episode begins, of which the actions alone tell nothing."""
    later = jnp.asarray(is_first, bool).at[:, :observed].set(False)
    return jnp.cumsum(later, 1) == 0


def film(truth: Array, model: Array, observed: int, valid: Array) -> Array:
    """Truth above model above error `[T, 3 H, rows * W, C]`.

    The edge is green while the model observes and red after; after the episode's end it is grey,
    and there is no prediction.
    """
    valid = valid[:, :, None, None, None]
    model = jnp.where(valid, jnp.clip(model, 0.0, 1.0), 0.5)
    error = jnp.where(valid, (model - truth + 1.0) / 2.0, 0.5)
    film = jnp.concatenate([truth, model, error], 2)
    rows, steps, height, width, channels = film.shape
    if channels == 3:
        inside = jnp.zeros((height, width), bool).at[2:-2, 2:-2].set(True)
        seen = (jnp.arange(steps) < observed)[:, None]
        colour = jnp.where(seen, jnp.array([0.0, 0.6, 0.3]), jnp.array([0.8, 0.2, 0.1]))
        colour = jnp.where(valid, colour[None, :, None, None], 0.5)
        film = jnp.where(inside[None, None, :, :, None], film, colour)
    film = film.transpose(1, 2, 0, 3, 4).reshape(steps, height, rows * width, channels)
    return (film * 255.0).astype(jnp.uint8)


def finish(arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    """Host arrays fit for records: videos with three channels, and the names of their rows."""
    out = {}
    for name, value in arrays.items():
        value = np.asarray(value)
        if name.endswith("/video"):
            value = value[..., :1].repeat(3, -1) if value.shape[-1] == 1 else value[..., :3]
            if name.startswith("openloop/"):
                value = _label(value)
        out[name] = value
    return out


def _label(video: np.ndarray) -> np.ndarray:
    """Puts the names of the rows to the left of a film, uint8 `[T, 3 H, W, 3]`."""
    height = video.shape[1] // len(LABELS)
    strip = Image.new("RGB", (STRIP, video.shape[1]))
    for row, name in enumerate(LABELS):
        place = (3, row * height + height // 2)
        ImageDraw.Draw(strip).text(place, name, "white", ImageFont.load_default(10), "lm")
    left = np.stack([np.asarray(strip, np.uint8)] * len(video))
    return np.concatenate([left, video], 2)
