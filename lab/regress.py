"""Regression of true state from latents (HarmonyDream App. C.4, Fig. 2c)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from embodied.core.errors import UserError, nearest
from embodied.core.rng import generator
from harmony_dreamerv3.config.dreamerv3 import HeadConfig
from harmony_dreamerv3.nets.heads import Head
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.world_model import STANDARD
from lab.buffer import Buffer
from lab.intervals import plain

LAYERS, UNITS = 4, 400
BATCH, RATE = 256, 1e-3


def state_keys(buffer: Buffer, agents: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """Returns the keys to regress: the chosen ones, or the vectors that no model sees.

    Raises:
      UserError: a chosen key that the buffer does not have, or that is no vector.
    """
    vectors = [
        key
        for key, array in buffer.arrays.items()
        if key not in (*STANDARD, "action") and array.ndim <= 2 and array.dtype.kind == "f"
    ]
    for key in keys:
        if key not in vectors:
            text = f"it has {', '.join(vectors)}" if vectors else "it has no vector at all"
            raise UserError(
                f"--state: the buffer has no vector {key!r} ({text}){nearest(key, vectors)}"
            )
    inputs = {key for agent in agents.values() for key in agent.batch_keys}
    return list(keys) or [key for key in vectors if key not in inputs]


def fit(
    feat: np.ndarray, target: np.ndarray, tests: Mapping[str, tuple[np.ndarray, np.ndarray]],
    seed: int, updates: int,
) -> dict[str, Any]:  # fmt: skip
    """Trains an MLP on training latents and judges it on others.

    Args:
      feat: `[N, F]` float32, training latents.
      target: `[N, D]`, the true state there.
      tests: name -> latents `[M, F]` and states `[M, D]`.
      seed: of parameters and batches.
      updates: of Adam, 256 latents each.

    Returns:
      Name -> `mse` (mean over dimensions, in the state's own units), `r2` (mean over the
      dimensions that vary) and `r2_by_dimension` (None where one does not vary).
    """
    centre, spread = target.mean(0), target.std(0)
    spread = np.where(spread > 1e-6, spread, 1.0)
    normed = ((target - centre) / spread).astype(np.float32)
    head = Head(HeadConfig(LAYERS, UNITS, 1.0), target.shape[1])
    optimizer = optax.adam(RATE)
    params = head.init(jax.random.key(seed), jnp.zeros((1, feat.shape[1])))["params"]

    def loss(params: Any, x: Any, y: Any) -> Any:
        return jnp.square(run(head, params, x) - y).mean()

    @jax.jit
    def step(params: Any, opt: Any, x: Any, y: Any) -> tuple[Any, Any]:
        change, opt = optimizer.update(jax.grad(loss)(params, x, y), opt)
        return optax.apply_updates(params, change), opt

    opt = optimizer.init(params)
    for update in range(updates):
        rows = generator("regress", seed, update).integers(0, len(feat), BATCH)
        params, opt = step(params, opt, feat[rows], normed[rows])
    forward = jax.jit(lambda params, x: run(head, params, x))
    return {
        name: _judge(np.asarray(forward(params, x), np.float64) * spread + centre, y)
        for name, (x, y) in tests.items()
    }


def _judge(guess: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    error = np.square(guess - true).mean(0)
    varies = true.std(0) > 1e-6
    r2 = np.where(varies, 1 - error / np.where(varies, true.var(0), 1.0), np.nan)
    return {
        "mse": float(error.mean()),
        "r2": plain(r2[varies].mean()) if varies.any() else None,
        "r2_by_dimension": [plain(value) for value in r2],
    }


def summarize(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Means over seeds, and each seed's values: method -> where -> `mse`, `r2`."""
    out: dict[str, Any] = {}
    for method, seeds in runs.items():
        out[method] = {}
        for where in seeds[0]:
            numbers = {k: [seed[where][k] for seed in seeds] for k in ("mse", "r2")}
            rows = [seed[where]["r2_by_dimension"] for seed in seeds]
            out[method][where] = {
                **{k: _mean(values) for k, values in numbers.items()},
                **{f"{k}_by_seed": values for k, values in numbers.items()},
                "r2_by_dimension": [_mean(column) for column in zip(*rows)],
            }
    return out


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None
