"""A learner of a few numbers whose parameters depend on every bit of every batch, in order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from embodied.core.rng import generator
from embodied.core.space import Space


class FakeLearner:
    """Learns nothing, remembers everything: any difference in what it saw shows in its arrays.

    Args:
      seeds: of the members.
      act_space: what actions are.
      fail_at: by member, the update whose loss is not finite.
      latents: leave the carry in the replay with each step, and let updates rewrite it.
    """

    def __init__(
        self,
        seeds: list[int],
        act_space: Space,
        fail_at: Mapping[int, int] | None = None,
        latents: bool = False,
    ) -> None:
        self._latents = latents
        self.size = len(seeds)
        self.machine = "none"
        self._seeds = seeds
        self._space = act_space
        self._fail_at = dict(fail_at or {})
        self._weights = np.array([generator("init", s, 0).normal(size=8) for s in seeds])
        self._updates = np.zeros(self.size, np.int64)
        self._failed: list[str | None] = [None] * self.size
        self._metrics: list[np.ndarray] = []

    def initial_carry(self, rows: int) -> np.ndarray:
        return np.zeros((self.size, rows))

    def act(
        self,
        carry: np.ndarray,
        obs: dict[str, np.ndarray],
        counter: tuple[int, ...],
        mode: str,
        policy: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws actions from a generator keyed by seed, mode, counter, parameters and carry."""
        weights = self._weights if policy is None else policy
        rows = carry.shape[1]
        signal = np.where(obs["is_first"], 0, carry) + obs["reward"]
        for key in ("image", "vector"):
            if key in obs:
                signal = signal + obs[key].reshape(self.size, rows, -1).astype(float).mean(-1)
        actions = np.zeros((self.size, rows, *self._space.shape), np.float32)
        for n, row in np.ndindex(self.size, rows):
            key = _fold(weights[n], signal[n, row], np.array([*counter, row]))
            rng = generator(mode, self._seeds[n], key)
            actions[n, row] = self._space.sample(rng)
        return signal / 2, actions

    @property
    def stored_space(self) -> dict[str, Space]:
        return {"latent": Space(np.float64)} if self._latents else {}

    def stored(self, carry: np.ndarray) -> dict[str, np.ndarray]:
        return {"latent": carry} if self._latents else {}

    def train(self, batches: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """Mixes every byte of the batch into the parameters."""
        row = np.zeros((self.size, 2))
        outputs: list[dict[str, np.ndarray]] = [{} for _ in batches]
        for n, batch in enumerate(batches):
            # With latents a row may go on with a window that began before.
            assert self._latents or batch["is_first"][:, 0].all()
            if self._failed[n] or self._updates[n] == self._fail_at.get(n):
                self._failed[n] = self._failed[n] or "image"
                row[n] = np.nan
                continue
            key = _fold(*(batch[name] for name in sorted(batch)))
            noise = generator("update", self._seeds[n], key).normal(size=8)
            self._weights[n] = 0.9 * self._weights[n] + 0.1 * noise
            self._updates[n] += 1
            row[n] = self._weights[n, 0], batch["reward"].mean()
            if self._latents:  # Of all steps but the one of context.
                outputs[n] = {"latent": batch["latent"][:, 1:] / 2 + self._weights[n, 0]}
        self._metrics.append(row)
        return outputs

    def drain(self) -> tuple[list[str], np.ndarray]:
        metrics, self._metrics = self._metrics, []
        values = np.array(metrics).reshape(-1, self.size, 2)
        return ["loss_image", "reward"], values

    def failed(self) -> list[str | None]:
        return list(self._failed)

    def snapshot(self) -> np.ndarray:
        return self._weights.copy()

    def report(
        self, batches: list[dict[str, np.ndarray]], counter: tuple[int, ...]
    ) -> list[dict[str, np.ndarray]]:
        reports = []
        for n, batch in enumerate(batches):
            report = {"weight": self._weights[n, 1], "weights/hist": self._weights[n]}
            if "image" in batch:
                report["openloop/video"] = batch["image"][0]
            reports.append(report)
        return reports

    def save(self, tree: np.ndarray | None = None) -> list[dict[str, np.ndarray]]:
        if tree is not None:
            return [{"state": tree[n]} for n in range(self.size)]
        return [
            {
                "weights": self._weights[n].copy(),
                "updates": self._updates[n].copy(),
                "failed": np.array(self._failed[n] is not None),
            }
            for n in range(self.size)
        ]

    def load(
        self, arrays: list[dict[str, np.ndarray]], like: np.ndarray | None = None
    ) -> np.ndarray | None:
        if like is not None:
            return np.array([array["state"] for array in arrays])
        for n, array in enumerate(arrays):
            self._weights[n] = array["weights"]
            self._updates[n] = array["updates"]
            self._failed[n] = "image" if array["failed"] else None
        return None

    def make_stores(self, spaces: Mapping[str, Space], capacity: int) -> list[None]:
        return [None] * self.size


def _fold(*arrays: np.ndarray) -> int:
    """Returns 63 bits that depend on every bit of the arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return int.from_bytes(digest.digest()[:8], "little") >> 1
