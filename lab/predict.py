"""Open-loop predictions of many windows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from harmony_dreamerv3.agents import openloop, openloop_v2
from harmony_dreamerv3.nets.layers import full, run
from lab import base_2025
from lab.buffer import Buffer

ROWS = 32  # Windows at a time.
Outputs = dict[str, np.ndarray]


class Predictor:
    """Lets trained world models of one configuration predict.

    The model observes the first steps of a window and is then given the recorded actions alone.

    Args:
      agent: whose world model it is.
      buffer: the transitions.
      observed: steps that the model sees.
    """

    def __init__(self, agent: Any, buffer: Buffer, observed: int) -> None:
        self._agent = agent
        self._buffer = buffer
        self._observed = observed
        self._latents = jax.jit(functools.partial(self._predict, decode=False))
        self._images = jax.jit(functools.partial(self._predict, decode=True))

    def latents(self, state: Any, index: np.ndarray, seed: int) -> Outputs:
        """Predicts rewards from latents.

        Args:
          state: train state of the world model.
          index: rows `[W, L]` of windows.
          seed: of the latents' draws; the same ones for every method.

        Returns:
          `reward` `[W, L]` and `feat` `[W, L, F]` float32: of posteriors, then of predictions.
        """
        return self._run(self._latents, state, index, seed)

    def images(self, state: Any, index: np.ndarray, seed: int) -> Outputs:
        """Predicts images, too: `image/<key>` `[W, L, H, W, C]` in [0, 1], as far as there are."""
        return self._run(self._images, state, index, seed)

    def _run(
        self, function: Callable[..., Any], state: Any, index: np.ndarray, seed: int
    ) -> Outputs:
        agent, parts = self._agent, []
        keys = [key for key in agent.batch_keys if key not in agent.stored_space]
        for number, start in enumerate(range(0, len(index), ROWS)):
            rows = index[start : start + ROWS]
            # One shape for all, so that one program serves; the surplus is cut off.
            padded = np.concatenate([rows, np.repeat(rows[:1], ROWS - len(rows), 0)])
            if len(index) < ROWS:
                padded = rows
            batch = self._buffer.rows(padded)
            key = jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))
            key = jax.random.fold_in(key, 2**31 + 4 + number)
            out = jax.device_get(function(state, {k: batch[k] for k in keys}, key))
            parts.append({name: value[: len(rows)] for name, value in out.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _predict(self, state: Any, batch: Any, key: Any, *, decode: bool) -> dict[str, Any]:
        others = {"dreamerv2": openloop_v2, "dreamerv3_2025": base_2025}
        if module := others.get(self._agent.config.base):
            given = (self._agent, state, batch, key, self._observed)
            return module.predictions(*given, decode=decode)
        params = state.params["world_model"]
        _, feat = openloop.open_loop(self._agent, params, batch, key, self._observed)
        reward, _ = self._agent.wm.predict(params, feat)
        out = {"reward": reward, "feat": full(feat)}
        if decode and self._agent.wm.images:
            recon = run(self._agent.wm.decoder, params["decoder"], feat)
            out |= {f"image/{k}": recon[k].clip(0, 1) for k in self._agent.wm.images}
        return out
