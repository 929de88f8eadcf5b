"""From Gymnasium's action spaces to ours, with the functions from our actions to theirs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from embodied.core.env import MASK
from embodied.core.errors import UserError
from embodied.core.space import Space
from embodied.envs._tools.gym_spaces import MOST_CELLS

_LARGE = f"an action of %d numbers, expected 1 to {MOST_CELLS:,}: %s"


def act(space: Any) -> tuple[Callable[[np.ndarray], Any], Space]:
    """Returns the function from our action to theirs, and our action space.

    Args:
      space: Discrete (ours: one-hot), a bounded Box of floats (ours: flat, in [-1, 1]), or several:
        MultiDiscrete, MultiBinary, a bounded Box of integers, Dict or Tuple (ours: their parts one
        after another in one vector, see `Space.parts`).

    Raises:
      UserError: for another space, and for one too large.
    """
    parts, convert = _act_parts(space)
    size = sum(part.shape[0] for part in parts)
    if not 0 < size <= MOST_CELLS:
        raise UserError(_LARGE % (size, space))
    return convert, Space.joined(parts)


def mask(space: Any, ours: Space, value: Any) -> np.ndarray:
    """Returns which choices are allowed, float32 (A,) of our action; numbers always are.

    Args:
      space: their action space.
      ours: the space that `act` made of it.
      value: zeros and ones, one for each cell of our action or for those of choices only, flat or
        nested as their space is, with None for numbers; None for nothing forbidden.

    Raises:
      UserError: when it is something else.
    """
    parts = ours.parts or (ours,)
    if value is None:
        return np.ones(ours.shape, np.float32)
    flat = np.concatenate([np.zeros(0), *_leaves(value, space)])
    cells = np.concatenate([np.full(part.shape, part.discrete) for part in parts])
    allowed = np.ones(ours.shape, np.float32)
    if flat.size not in (cells.size, cells.sum()) or not np.isin(flat, (0, 1)).all():
        raise UserError(
            f"{MASK}: expected {cells.sum()} zeros and ones, one for each choice, got {value!r:.80}"
        )
    allowed[cells] = flat if flat.size == cells.sum() else flat[cells]
    return allowed


def _leaves(value: Any, space: Any) -> list[np.ndarray]:
    """Returns the arrays of a nested mask in the order of the action."""
    if value is None:
        return []
    if isinstance(value, dict):
        inner = getattr(space, "spaces", value)
        return [leaf for key in inner for leaf in _leaves(value.get(key), inner[key])]
    if isinstance(value, tuple | list) and not all(np.isscalar(each) for each in value):
        inner = getattr(space, "spaces", value)
        return [leaf for each, below in zip(value, inner) for leaf in _leaves(each, below)]
    return [np.ravel(value)]


def _act_parts(space: Any) -> tuple[list[Space], Callable[[np.ndarray], Any]]:
    import gymnasium.spaces as spaces

    size = math.prod(getattr(space, "shape", None) or (1,))
    if size > MOST_CELLS:
        raise UserError(_LARGE % (size, space))
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        return [_choice(space.n, space)], lambda action: start + int(np.argmax(action))
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces if isinstance(space, spaces.Dict) else dict(enumerate(space.spaces))
        found = {key: _act_parts(each) for key, each in inner.items()}
        sizes = [sum(part.shape[0] for part in parts) for parts, _ in found.values()]
        cuts = np.cumsum(sizes)[:-1]

        def split(action: np.ndarray) -> Any:
            pieces = zip(found.items(), np.split(np.asarray(action), cuts))
            values = {key: convert(piece) for (key, (_, convert)), piece in pieces}
            return values if isinstance(space, spaces.Dict) else tuple(values.values())

        return [part for parts, _ in found.values() for part in parts], split
    if size and isinstance(space, spaces.Box) and space.is_bounded() and space.dtype.kind == "f":
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        with np.errstate(over="ignore"):
            span = high - low
        if not np.isfinite(span).all():
            raise UserError(f"bounds of an action so far apart are none: {space}")

        def rescale(action: np.ndarray) -> np.ndarray:
            unit = (np.asarray(action, np.float64).reshape(space.shape) + 1) / 2
            return np.clip(low + unit * span, low, high).astype(space.dtype)

        return [Space(np.float32, (size,), -1, 1)], rescale
    counts = _counts(space)
    if counts is None:
        raise UserError(
            "expected an action space of Discrete or of a bounded Box of floats, or a "
            f"MultiDiscrete, MultiBinary, Dict or Tuple of these, got {space}"
        )
    first, each = counts
    if sum(each.tolist()) > MOST_CELLS:
        raise UserError(f"{sum(each.tolist()):,} actions are too many for one-hot vectors: {space}")
    choices = [_choice(count, space) for count in each]
    ends = np.cumsum(each)[:-1]

    def pick(action: np.ndarray) -> np.ndarray:
        found = [int(np.argmax(piece)) for piece in np.split(np.asarray(action), ends)]
        return (first + found).reshape(space.shape).astype(space.dtype)

    return choices, pick


def _counts(space: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the first value and the number of values of each cell, where they are countable."""
    import gymnasium.spaces as spaces

    if isinstance(space, spaces.MultiDiscrete):
        return space.start.ravel(), space.nvec.ravel()
    if isinstance(space, spaces.MultiBinary):
        cells = int(np.prod(space.shape))
        return (np.zeros(cells, np.int64), np.full(cells, 2)) if cells else None
    if isinstance(space, spaces.Box) and space.dtype.kind in "iu" and np.prod(space.shape):
        low, high = space.low.astype(object).ravel(), space.high.astype(object).ravel()
        if max(high - low) < MOST_CELLS:
            return low.astype(np.int64), (high - low + 1).astype(np.int64)
    return None


def _choice(count: Any, space: Any) -> Space:
    if int(count) > MOST_CELLS:
        raise UserError(f"{int(count):,} actions are too many for a one-hot vector: {space}")
    return Space(np.float32, (int(count),), 0, 1, discrete=True)
