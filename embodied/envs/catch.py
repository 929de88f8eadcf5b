"""Catch: a ball falls through a grid drawn as pixels; be under it when it lands."""

from __future__ import annotations

import dataclasses

import numpy as np

from embodied.core.env import STANDARD_SPACES, Obs, standard_obs
from embodied.core.errors import UserError
from embodied.core.space import Space
from embodied.envs._tools import state as states

_BALL = (255, 255, 255)
_PADDLE = (255, 128, 0)
_FIELD = (20, 20, 60)
_LEVELS = {"easy": (10, 10), "hard": (16, 24)}  # Columns and rows where the options give none.


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of catch.

    Args:
      size: pixels along each side of the image.
      columns: width of the grid, at least 2; 0 for the task's own.
      rows: height of the grid, at least 2; an episode has rows - 1 steps; 0 for the task's own.
    """

    size: int = 64
    columns: int = 0
    rows: int = 0


def tasks() -> tuple[str, ...]:
    """Returns the task names."""
    return tuple(_LEVELS)


def make(task: str, seed: int, options: Options) -> Catch:
    """Returns the game: `easy` on 10 columns and 10 rows, `hard` on 16 columns and 24 rows."""
    columns, rows = _LEVELS[task]
    columns, rows = options.columns or columns, options.rows or rows
    for key, cells in (("columns", columns), ("rows", rows)):
        if not 2 <= cells <= options.size:
            raise UserError(
                f"env.catch.{key} must be from 2 to the {options.size} pixels of the image, "
                f"got {cells}"
            )
    if columns > rows:
        raise UserError(
            f"env.catch.columns ({columns}) must not exceed the rows ({rows}): the paddle moves "
            "one column a step and could not reach every ball"
        )
    return Catch(columns, rows, options.size, seed)


class Catch(states.Saved):
    """A ball falls one row a step from a random column; the paddle moves left, stays, or right.

    The reward is 1 when the ball lands on the paddle and -1 when it does not; all other rewards
    are 0. Landing ends the episode as a terminal state.

    Args:
      columns: width of the grid.
      rows: height of the grid; the paddle moves in the last one.
      size: pixels along each side of the image.
      seed: of the columns where ball and paddle start.
    """

    repeat = 1
    _STATE = ("ball", "paddle", "over")

    def __init__(self, columns: int, rows: int, size: int, seed: int) -> None:
        self._columns = columns
        self._rows = rows
        self._rng = np.random.default_rng(seed)
        self._ball = [0, 0]  # Row and column.
        self._paddle = 0
        self._over = True
        # Pixel i of a side shows cell i * cells // size: blocks that fill the image.
        self._row_of = np.arange(size) * rows // size
        self._column_of = np.arange(size) * columns // size
        self.obs_space: dict[str, Space] = {
            **STANDARD_SPACES,
            "image": Space(np.uint8, (size, size, 3), 0, 255),
        }
        self.act_space: dict[str, Space] = {"action": Space(np.float32, (3,), 0, 1, discrete=True)}

    def step(self, action: np.ndarray | None) -> Obs:
        """Moves paddle and ball; see `Env.step`."""
        if self._over or action is None:
            self._over = False
            self._ball = [0, int(self._rng.integers(self._columns))]
            self._paddle = int(self._rng.integers(self._columns))
            return {**standard_obs(is_first=True), "image": self._render()}
        move = int(np.argmax(action)) - 1
        self._paddle = min(max(self._paddle + move, 0), self._columns - 1)
        self._ball[0] += 1
        self._over = self._ball[0] == self._rows - 1
        reward = 0.0
        if self._over:
            reward = 1.0 if self._ball[1] == self._paddle else -1.0
        return {**standard_obs(reward, False, self._over, self._over), "image": self._render()}

    def _render(self) -> np.ndarray:
        grid = np.full((self._rows, self._columns, 3), _FIELD, np.uint8)
        grid[-1, self._paddle] = _PADDLE
        grid[self._ball[0], self._ball[1]] = _BALL
        return grid[self._row_of][:, self._column_of]
