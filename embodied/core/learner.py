"""What a run needs of an agent, and of the memory in which transitions lie."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from embodied.core.space import Space

Arrays = dict[str, np.ndarray]


class Store(Protocol):
    """Rows of named arrays, written and gathered by position; the host's memory or a device's."""

    capacity: int  # number of rows
    nbytes: int  # that the arrays take when all rows are in use

    def write(self, positions: np.ndarray, data: Mapping[str, Any]) -> None:
        """Overwrites rows.

        Args:
          positions: int64 [K], all different but for those that are `capacity`: there, nothing is
            written.
          data: arrays [K, ...] under some of the names; not kept, the caller may change them.
        """
        ...

    def gather(self, index: np.ndarray, first: np.ndarray) -> Any:
        """Returns what the learner trains on; from `HostStore` a dict of arrays [B, T, ...].

        Positions are int64 [B, T]; where `first` holds, `is_first` is set, whatever was stored.
        """
        ...

    def read(
        self, positions: np.ndarray, names: Collection[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Returns rows [K, ...] on the host, of the named arrays or all, at positions int64 [K]."""
        ...


class Learner(Protocol):
    """N agents ("members") with seeds of their own, trained side by side as one program.

    Everything random derives from the member's seed and the counter of the call, so there is no
    hidden state beside what `save` returns. Saved arrays have NumPy's own dtypes (a bfloat16
    carry is saved as float32, which loses nothing) and names of any characters.
    """

    size: int  # N, the number of members
    machine: str  # what the last digits of its numbers depend on: device, threads, versions

    @property
    def stored_space(self) -> Mapping[str, Space]:
        """What its policy leaves in the replay with each step, by name; often nothing."""
        ...

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

    def stored(self, carry: Any) -> Mapping[str, Any]:
        """Returns what a carry leaves in the replay, [N, rows, ...] under `stored_space`'s names.

        Arrays may be those of a device, and of updates that have not ended yet.
        """
        ...

    def train(self, batches: list[Any]) -> list[Mapping[str, Any]]:
        """Dispatches one update of every member.

        Args:
          batches: for each member what its replay's store gathered, [B, C + T, ...].

        Returns:
          For each member what the replay is to hold from now on at the last T steps, [B, T, ...],
          under names of `stored_space`; arrays as for `stored`.
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

    def report(self, batches: list[Any], counter: tuple[int, ...]) -> list[Arrays]:
        """Returns heavy metrics of each member for one batch; arguments as above.

        They are scalars, `x/hist` arrays of one axis and `x/video` uint8 [T, H, W, 3].
        """
        ...

    def save(self, tree: Any = None) -> list[Arrays]:
        """Returns a carry, a snapshot, or (None) everything that training depends on.

        It comes as one flat dict on the host for each member.
        """
        ...

    def load(self, arrays: list[Arrays], like: Any = None) -> Any:
        """Takes back what `save` returned.

        After loading what training depends on, `failed` says which members had failed by then.

        Args:
          arrays: one flat dict for each member.
          like: a carry or a snapshot of the same structure; None for what training depends on.

        Returns:
          The carry or snapshot; None where training continues from the arrays.

        Raises:
          UserError: when names, shapes or dtypes are those of another agent.
        """
        ...

    def make_stores(self, spaces: Mapping[str, Space], capacity: int) -> Sequence[Store | None]:
        """Returns a store for each member's replay; for all None for the host's memory."""
        ...
