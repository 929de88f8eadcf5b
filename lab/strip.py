"""One held-out window as a strip of frames: truth, predictions, errors (App. C.4, Fig. 3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.buffer import Buffer


def choose(rewards: np.ndarray, observed: int, every: int, tolerance: float) -> int:
    """Returns the window whose predicted part pays most often, at shown frames above all.

    It depends on the true rewards `[W, L]` alone, so it favours no method.
    """
    paid = np.abs(rewards) > tolerance
    paid[:, :observed] = False
    score = paid[:, ::every].sum(1) * rewards.shape[1] + paid.sum(1)
    return int(np.argmax(score))


def record(
    buffer: Buffer, rows: np.ndarray, outputs: dict[str, dict[str, np.ndarray]], every: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Collects what the figure needs.

    Args:
      buffer: the transitions.
      rows: `[L]`, of the window.
      outputs: method -> what `Predictor.images` returned for the window alone.
      every: a frame is shown every so many steps.

    Returns:
      Rewards, fit for json, and frames uint8 `[N, H, W, C]`: `true` and one for each method;
      none where the models predict no image.
    """
    steps = list(range(0, len(rows), every))
    facts = {
        "shown": steps,
        "reward": buffer.arrays["reward"][rows].astype(float).tolist(),
        "predicted": {
            name: out["reward"][0].astype(float).tolist() for name, out in outputs.items()
        },
    }
    keys = [key for out in outputs.values() for key in out if key.startswith("image/")]
    if not keys:
        return facts, {}
    key = keys[0]
    frames = {"true": buffer.arrays[key.removeprefix("image/")][rows[steps]]}
    for name, out in outputs.items():
        if key in out:
            frames[f"model/{name}"] = np.round(out[key][0][steps] * 255).astype(np.uint8)
    return facts, frames
