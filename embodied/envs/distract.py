"""Visual control where a few pixels earn reward and the rest of the image is busy."""

from __future__ import annotations

import dataclasses

import numpy as np

from embodied.core.env import STANDARD_SPACES, Obs, standard_obs
from embodied.core.errors import UserError
from embodied.core.space import Space
from embodied.envs._tools import state as states

_MOVES = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]], np.float32)
_AGENT = (255, 255, 255)
_GOAL = (255, 0, 0)
_WAVES = 3  # Moving colour waves in the background.
_BLOBS = 6  # Distractors: squares that drift across the image.


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of the distracted reaching task.

    Args:
      size: pixels along each side of the image.
      grid: cells along each side; agent and goal stand in one each.
      mark: pixels along each side of agent and goal, so that 2 mark² pixels matter.
      strength: how busy the rest is, from 0 (black) to 1 (colours as bright as the goal).
      length: agent steps after which the time limit ends an episode.
    """

    size: int = 64
    grid: int = 6
    mark: int = 6
    strength: float = 1.0
    length: int = 50

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise UserError(f"env.distract.strength is from 0 to 1, got {self.strength}")
        if self.grid < 2 or self.mark < 1 or self.grid * self.mark > self.size:
            raise UserError(
                f"env.distract.grid (at least 2, got {self.grid}) times mark (at least 1, got "
                f"{self.mark}) must fit into the {self.size} pixels of the image"
            )
        if self.length < 1:
            raise UserError(f"env.distract.length must be at least 1, got {self.length}")


def tasks() -> tuple[str, ...]:
    """Returns the task names."""
    return ("reach", "push")


def make(task: str, seed: int, options: Options) -> Distract:
    """Returns the task with five discrete moves (`reach`) or a continuous push (`push`)."""
    return Distract(task == "reach", seed, options)


class Distract(states.Saved):
    """Move the white cell onto the red one; each time it gets there the red one jumps elsewhere.

    The reward is 1 at each arrival, else 0. Background waves and drifting squares move by
    themselves: they can be predicted, at some cost, and mean nothing for the reward. The key
    `state` (float32 (4,): row and column of agent and of goal, in [0, 1]) is meant for analysis;
    it goes into no encoder unless a pattern asks for it.

    Args:
      discrete: five moves (stay, up, down, left, right), or a push (down, right) whose larger
        part moves the agent one cell if it exceeds a third.
      seed: of everything random.
      options: see `Options`.
    """

    repeat = 1
    _STATE = ("agent", "goal", "count", "over", "waves", "blobs")

    def __init__(self, discrete: bool, seed: int, options: Options) -> None:
        self._discrete = discrete
        self._options = options
        self._rng = np.random.default_rng(seed)
        self._agent = np.zeros(2, np.int64)
        self._goal = np.zeros(2, np.int64)
        self._count = 0
        self._over = True
        # Each wave: frequency along rows and columns, phase, and speed for each colour.
        self._waves = np.zeros((_WAVES, 3, 4), np.float32)
        # Each distractor: row, column and their speeds (pixels), then red, green, blue.
        self._blobs = np.zeros((_BLOBS, 7), np.float32)
        self._axis = np.linspace(0, 2 * np.pi, options.size, endpoint=False, dtype=np.float32)
        shape = (options.size, options.size, 3)
        self.obs_space: dict[str, Space] = {
            **STANDARD_SPACES,
            "image": Space(np.uint8, shape, 0, 255),
            "state": Space(np.float32, (4,), 0, 1),
        }
        action = (
            Space(np.float32, (len(_MOVES),), 0, 1, discrete=True)
            if discrete
            else Space(np.float32, (2,), -1, 1)
        )
        self.act_space: dict[str, Space] = {"action": action}

    def step(self, action: np.ndarray | None) -> Obs:
        """Moves the agent and the distractors; see `Env.step`."""
        first, reward = self._over or action is None, 0.0
        if action is None or first:
            self._reset()
        else:
            self._count += 1
            self._agent = np.clip(self._agent + self._move(action), 0, self._options.grid - 1)
            if (self._agent == self._goal).all():
                reward = 1.0
                self._place_goal()
            self._waves[..., 2] += self._waves[..., 3]
            self._blobs[:, :2] = (self._blobs[:, :2] + self._blobs[:, 2:4]) % self._options.size
        self._over = self._count >= self._options.length
        place = np.concatenate([self._agent, self._goal]) / (self._options.grid - 1)
        return {
            **standard_obs(reward, is_first=first, is_last=self._over),
            "image": self._render(),
            "state": place.astype(np.float32),
        }

    def _move(self, action: np.ndarray) -> np.ndarray:
        if self._discrete:
            return _MOVES[int(np.argmax(action))].astype(np.int64)
        move = np.zeros(2, np.int64)
        axis = int(np.argmax(np.abs(action)))
        if abs(action[axis]) > 1 / 3:
            move[axis] = int(np.sign(action[axis]))
        return move

    def _reset(self) -> None:
        rng, size = self._rng, self._options.size
        self._count = 0
        self._agent = rng.integers(self._options.grid, size=2)
        self._place_goal()
        self._waves[..., :2] = rng.integers(-2, 3, (_WAVES, 3, 2))
        self._waves[..., 2] = rng.uniform(0, 2 * np.pi, (_WAVES, 3))
        self._waves[..., 3] = rng.uniform(-0.6, 0.6, (_WAVES, 3))
        self._blobs[:, :2] = rng.uniform(0, size, (_BLOBS, 2))
        self._blobs[:, 2:4] = rng.uniform(-size / 16, size / 16, (_BLOBS, 2))
        self._blobs[:, 4:] = rng.uniform(0, 255, (_BLOBS, 3))

    def _place_goal(self) -> None:
        """Draws the goal among the cells that the agent is not on."""
        cells = self._options.grid**2
        here = int(self._agent[0] * self._options.grid + self._agent[1])
        cell = (here + 1 + int(self._rng.integers(cells - 1))) % cells
        self._goal = np.array(divmod(cell, self._options.grid), np.int64)

    def _render(self) -> np.ndarray:
        size, mark, grid = self._options.size, self._options.mark, self._options.grid
        image = np.zeros((size, size, 3), np.float32)
        if self._options.strength:
            self._draw_background(image)
        for place, colour in ((self._goal, _GOAL), (self._agent, _AGENT)):
            row, column = ((2 * place + 1) * size // grid - mark) // 2
            image[row : row + mark, column : column + mark] = colour
        return image.astype(np.uint8)

    def _draw_background(self, image: np.ndarray) -> None:
        # sin(a + b) = sin a cos b + cos a sin b: a wave is a product of [size, 2] and [2, size].
        rows = self._waves[..., 0, None] * self._axis + self._waves[..., 2, None]
        columns = self._waves[..., 1, None] * self._axis
        left = np.stack([np.sin(rows), np.cos(rows)], -1)  # [waves, 3, size, 2]
        right = np.stack([np.cos(columns), np.sin(columns)], -2)  # [waves, 3, 2, size]
        waves = (left @ right).sum(0)  # [3, size, size]
        image[:] = (waves.transpose(1, 2, 0) / (2 * _WAVES) + 0.5) * 200
        side = self._options.size // 8
        for blob in self._blobs:
            row, column = blob[:2].astype(int)
            image[row : row + side, column : column + side] = blob[4:]
        image *= self._options.strength
