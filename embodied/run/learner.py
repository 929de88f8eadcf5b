"""What the run loop needs of an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from embodied.core.space import Space
from embodied.replay.store import Store

Arrays = dict[str, np.ndarray]


class Learner(Protocol):
    """N agents ("members") with seeds of their own, trained side by side as one program.

    Everything random derives from the member's seed and the counter of the call, so there is no
    hidden state beside what `save` returns. Saved arrays have NumPy's own dtypes (a bfloat16
    carry is saved as float32, which loses nothing) and names of any characters.

    Attributes:
      size: N, the number of members.
      machine: what the last digits of its numbers depend on beside its inputs: device, threads,
        versions.
    """

    size: int
    machine: str

    def initial_carry(self, rows: int) -> Any:
        """Returns the policy's state before the first observation, for [N, rows] environments."""
        ...

    def act(
        self, carry: Any, obs: Arrays, counter: tuple[int, ...], mode: str, policy: Any = None
    ) -> tuple[Any, np.ndarray]:
        """Chooses actions; must allow calls from two threads.

        Args:
          carry: policy state of [N, rows] environments.
          obs: arrays [N, rows, ...]; `is_first` resets the state of its row.
          counter: whole numbers that name this call within its mode.
          mode: `train` or `eval`.
          policy: a `snapshot` to act with; None for the newest parameters.

        Returns:
          The next carry, and actions float32 [N, rows, A] that the caller may write to.
        """
        ...

    def train(self, batches: list[Any]) -> None:
        """Dispatches one update of every member.

        Args:
          batches: for each member what its replay's store gathered, [B, T, ...].
        """
        ...

    def drain(self) -> tuple[list[str], np.ndarray]:
        """Waits for the updates since the last call and returns their metrics.

        Returns:
          Names [M], the same at every call, and values float64 [U, N, M] of U updates.
        """
        ...

    def failed(self) -> list[str | None]:
        """Returns for each member None, or the name of the loss that ceased to be finite.

        A failed member keeps its last good state. Cheap after `act`, whose actions depend on every
        update so far.
        """
        ...

    def snapshot(self) -> Any:
        """Returns a copy of all members' policies that training leaves alone."""
        ...

    def save_snapshot(self, policy: Any) -> list[Arrays]:
        """Returns what `snapshot` returned as one flat dict for each member."""
        ...

    def load_snapshot(self, arrays: list[Arrays]) -> Any:
        """Returns the snapshot that `save_snapshot` was given."""
        ...

    def report(self, batches: list[Any], counter: tuple[int, ...]) -> list[Arrays]:
        """Returns heavy metrics of each member for one batch.

        Args:
          batches: as for `train`.
          counter: whole numbers that name this call.

        Returns:
          For each member scalars, `x/hist` arrays of one axis and `x/video` uint8 [T, H, W, 3].
        """
        ...

    def save_carry(self, carry: Any) -> list[Arrays]:
        """Returns the policy state as one flat dict for each member."""
        ...

    def load_carry(self, arrays: list[Arrays]) -> Any:
        """Returns the carry that `save_carry` was given."""
        ...

    def save(self) -> list[Arrays]:
        """Returns everything that training depends on as one flat dict on the host per member."""
        ...

    def load(self, arrays: list[Arrays]) -> None:
        """Continues from what `save` returned.

        Raises:
          UserError: when names, shapes or dtypes are those of another agent.

        `failed` then says which of them had failed when they were saved.
        """
        ...

    def make_stores(self, spaces: Mapping[str, Space], capacity: int) -> Sequence[Store | None]:
        """Returns a store for each member's replay; for all None for the host's memory."""
        ...
