"""How well rewards are predicted open loop (HarmonyDream App. E.10)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from embodied.core.errors import UserError
from lab import intervals

SPARSE = 0.5  # Rewards are sparse when at least this share of the training steps pays nothing.


@dataclasses.dataclass(frozen=True)
class Scale:
    """When a predicted reward counts as right."""

    tolerance: float  # right where the prediction is nearer than that to the truth
    # Whether most steps pay nothing; then a step counts as rewarding, and a prediction as one of
    # reward, where it is further than `tolerance` from 0.
    sparse: bool
    mean: float  # of the training rewards: what a model that knows nothing would predict


def scale(rewards: np.ndarray, tolerance: float | None) -> Scale:
    """Looks at the training rewards `[K]`.

    The tolerance is half of the smallest reward that was paid where rewards are sparse, else half
    of their standard deviation.
    """
    if tolerance is not None and not tolerance > 0:
        raise UserError(f"--tolerance must be above 0, got {tolerance}")
    rewards = np.asarray(rewards, np.float64).ravel()
    paid = np.abs(rewards[rewards != 0])
    sparse = bool(len(paid) <= (1 - SPARSE) * len(rewards))
    smallest = float(paid.min()) if len(paid) else 1.0
    threshold = smallest / 2 if sparse else float(rewards.std()) / 2
    return Scale(tolerance or threshold or 1e-6, sparse, float(rewards.mean()))


def summarize(
    true: np.ndarray,
    predicted: Mapping[str, np.ndarray],
    observed: int,
    episode: np.ndarray,
    rule: Scale,
) -> dict[str, Any]:
    """Compares true and predicted rewards.

    Args:
      true: `[W, L]`.
      predicted: method -> `[S, W, L]`; seeds of one method in the order of all others.
      observed: steps that the models saw; the rest is judged.
      episode: `[W]`, the episode of each window.
      rule: see `Scale`.

    Returns:
      Fit for json: `constant` (errors of always predicting the mean reward) and `methods`, each
      with estimates as `intervals.ratio` gives them.
    """
    target = true[:, observed:].astype(np.float64)
    constant = np.broadcast_to(rule.mean, (1, *target.shape))
    methods = {
        name: _one(target, values[:, :, observed:], episode, rule)
        for name, values in predicted.items()
    }
    first = next(iter(predicted))
    errors = {name: (values[:, :, observed:] - target) ** 2 for name, values in predicted.items()}
    for name, values in predicted.items():
        early = (values[:, :, :observed] - true[:, :observed]) ** 2
        methods[name]["observed_mse"] = intervals.mean(early.mean(-1, keepdims=True), episode)[0]
        if name != first and errors[name].shape == errors[first].shape:
            gap = (errors[name] - errors[first]).mean(-1, keepdims=True)
            methods[name][f"mse_minus_{first}"] = intervals.mean(gap, episode)[0]
    return {
        "constant": _one(target, constant, episode, rule),
        "rewarding_steps": int((np.abs(target) > rule.tolerance).sum()) if rule.sparse else None,
        "predicted_steps": int(target.size),
        "methods": methods,
    }


def _one(target: np.ndarray, guess: np.ndarray, episode: np.ndarray, rule: Scale) -> dict[str, Any]:
    """Errors of one method: target `[W, H]`, guess `[S, W, H]`."""
    error = (guess - target) ** 2
    right = np.abs(guess - target) < rule.tolerance
    out: dict[str, Any] = {
        "mse": intervals.mean(error.mean(-1, keepdims=True), episode)[0],
        "mse_by_step": intervals.mean(error, episode),
        "right": intervals.mean(right.mean(-1, keepdims=True), episode)[0],
    }
    if not rule.sparse:
        return out
    paid = np.broadcast_to(np.abs(target) > rule.tolerance, error.shape)
    claims = np.abs(guess) > rule.tolerance
    both = claims & paid

    def total(top: np.ndarray, bottom: np.ndarray) -> dict[str, Any]:
        above = top.sum(-1, keepdims=True, dtype=np.float64)
        below = bottom.sum(-1, keepdims=True, dtype=np.float64)
        return intervals.ratio(above, below, episode)[0]

    return {
        **out,
        "rewarding_mse": total(error * paid, paid),
        "rewarding_mse_by_step": intervals.ratio(error * paid, paid, episode),
        "unrewarding_mse": total(error * ~paid, ~paid),
        "precision": total(both, claims),
        "recall": total(both, paid),
    }
