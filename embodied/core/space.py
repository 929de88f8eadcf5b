"""What one named array of an environment may hold: dtype, shape, bounds."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from embodied.core.errors import UserError


@dataclasses.dataclass(frozen=True)
class Space:
    """The set of arrays that an observation or action key may hold.

    Raises:
      ValueError: when the bounds are out of order, `discrete` has another shape or dtype, or the
        parts do not add up.
    """

    dtype: Any  # NumPy dtype; stored exactly so in the replay
    shape: tuple[int, ...] = ()  # shape of one step's value, without batch or time
    # Least value allowed in any cell; None for no bound (floats must be finite anyway).
    low: float | None = None
    high: float | None = None  # greatest value allowed in any cell; None for no bound
    discrete: bool = False  # the value is a one-hot float32 vector, one cell for each choice
    # Of an action of several parts, such as two choices and a push: their spaces (A,), one after
    # another in the vector; empty for an action of one kind.
    parts: tuple[Space, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", np.dtype(self.dtype))
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        if self.discrete and (self.dtype != np.float32 or len(self.shape) != 1):
            raise ValueError(f"a discrete space is float32 (A,), not {self.dtype} {self.shape}")
        if self.parts and self.shape != (sum(part.shape[0] for part in self.parts),):
            raise ValueError(f"parts {list(map(str, self.parts))} do not add up to {self.shape}")

    @classmethod
    def joined(cls, parts: Sequence[Space]) -> Space:
        """Returns the space of an action whose parts lie one after another in a vector."""
        if len(parts) == 1:
            return parts[0]
        return cls(np.float32, (sum(part.shape[0] for part in parts),), -1, 1, parts=tuple(parts))

    def choices(self) -> tuple[Space, ...]:
        """Returns what is drawn for an action: its parts, those of numbers side by side as one."""
        joined: list[Space] = []
        for part in self.parts or (self,):
            if joined and not (part.discrete or joined[-1].discrete):
                size = joined.pop().shape[0] + part.shape[0]
                part = Space(np.float32, (size,), -1, 1)
            joined.append(part)
        return tuple(joined)

    def drawn(self) -> Space:
        """Returns what a policy may draw for an action of this space: numbers without bounds."""
        if self.discrete:
            return self
        parts = tuple(part.drawn() for part in self.parts)
        return dataclasses.replace(self, low=None, high=None, parts=parts)

    def limits(self) -> tuple[Any, Any] | None:
        """Returns the bounds, [A] each, to which numbers of an action are clipped."""
        if self.discrete:
            return None
        if not self.parts:
            return self.low, self.high
        cells = [(part.low, part.high) for part in self.parts for _ in range(part.shape[0])]
        low, high = zip(*cells)
        return np.asarray(low, np.float32), np.asarray(high, np.float32)

    def check(self, name: str, value: Any) -> None:
        """Raises unless an array or scalar of one step belongs to this space.

        Raises:
          UserError: naming the key, what the space allows and what came.
        """
        fault = self._fault(np.asarray(value))
        if fault:
            raise UserError(f"{name!r} is outside its space: expected {self}, got {fault}")

    def sample(self, rng: np.random.Generator, mask: np.ndarray | None = None) -> np.ndarray:
        """Returns one value of the space, uniform between the bounds (0 and 1 where there is none).

        The mask (A,) is 0 for choices that must not be drawn; all zeros forbid none.
        """
        if self.parts:
            ends = np.cumsum([part.shape[0] for part in self.parts])[:-1]
            masks = [None] * len(self.parts) if mask is None else np.split(mask, ends)
            return np.concatenate([part.sample(rng, m) for part, m in zip(self.parts, masks)])
        if self.discrete:
            value = np.zeros(self.shape, np.float32)
            if mask is None or not mask.any():
                mask = np.ones(self.shape, np.float32)
            allowed = np.flatnonzero(mask)
            value[allowed[rng.integers(len(allowed))]] = 1
            return value
        if self.dtype == bool:
            return np.asarray(rng.integers(0, 2, self.shape), bool)
        low = 0 if self.low is None else self.low
        high = max(low, 1) if self.high is None else self.high
        if np.issubdtype(self.dtype, np.integer):
            return np.asarray(rng.integers(int(low), int(high) + 1, self.shape), self.dtype)
        return np.asarray(rng.uniform(low, high, self.shape), self.dtype)

    def __str__(self) -> str:
        kind = "one-hot " if self.discrete else ""
        low = "-inf" if self.low is None else f"{self.low:g}"
        high = "inf" if self.high is None else f"{self.high:g}"
        return f"{kind}{self.dtype} {self.shape} in [{low}, {high}]"

    @functools.cached_property
    def _bounds(self) -> tuple[float, float] | None:
        """Bounds that the dtype does not already enforce, or None."""
        if self.dtype == bool or (self.low is None and self.high is None):
            return None
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        if np.issubdtype(self.dtype, np.integer):
            info = np.iinfo(self.dtype)
            if low <= info.min and high >= info.max:
                return None
        return low, high

    def _fault(self, value: np.ndarray) -> str | None:
        """Returns what is wrong with the value, or None; a few microseconds when all is well."""
        if value.dtype != self.dtype or value.shape != self.shape:
            return f"{value.dtype} {value.shape}"
        if self.dtype.kind == "f" and not np.isfinite(value).all():
            return f"the value {_first(value, ~np.isfinite(value))}"
        if self._bounds and value.size:
            low, high = self._bounds
            if value.min() < low or value.max() > high:
                return f"the value {_first(value, (value < low) | (value > high))}"
        if self.discrete and (value.max() != 1 or np.count_nonzero(value) != 1):
            return f"{value.tolist()}, which is not one-hot"
        start = 0
        for part in self.parts:
            fault = part._fault(value[start : start + part.shape[0]])
            if fault:
                return f"{fault}, in its part from {start}"
            start += part.shape[0]
        return None


def _first(value: np.ndarray, wrong: np.ndarray) -> str:
    """Names the first offending cell."""
    place = tuple(int(index) for index in np.argwhere(wrong)[0])
    return f"{value[place]}" + (f" at {place}" if place else "")
