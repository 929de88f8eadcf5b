"""A small fast environment for tests: show a target, pay for the action that matches it."""

from __future__ import annotations

import dataclasses

import numpy as np

from embodied.core import ranges
from embodied.core.env import STANDARD_SPACES, Obs, standard_obs
from embodied.core.space import Space
from embodied.envs._tools import state as states

_CHOICES = 4  # Targets, and actions of `dummy_disc`.
_DIMS = 2  # Action size of `dummy_cont`.


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of the dummy environment.

    Args:
      image: give the observation `image`, uint8 (size, size, 3).
      vector: give the observation `vector`, float32 (4,).
      size: pixels along each side of the image.
      length: agent steps after which the time limit ends an episode.
      death: chance of a terminal end at each step.
    """

    image: bool = True
    vector: bool = True
    size: int = 64
    length: int = 20
    death: float = 0.02

    def __post_init__(self) -> None:
        sizes = dict.fromkeys(("size", "length"), ranges.COUNT)
        ranges.check(self, {**sizes, "death": ranges.SHARE}, "env.dummy.")


def tasks() -> tuple[str, ...]:
    """Returns the task names."""
    return ("disc", "cont")


def make(task: str, seed: int, options: Options) -> Dummy:
    """Returns the environment with discrete (`disc`) or continuous (`cont`) actions."""
    return Dummy(task == "disc", seed, options)


class Dummy(states.Saved):
    """Shows one of four targets; the reward is 1 for matching it with the action, else 0.

    Args:
      discrete: four one-hot actions, or two numbers whose signs name the target.
      seed: of everything random.
      options: see `Options`.
    """

    repeat = 1
    _STATE = ("target", "count", "over")

    def __init__(self, discrete: bool, seed: int, options: Options) -> None:
        self._discrete = discrete
        self._options = options
        self._rng = np.random.default_rng(seed)
        self._target = 0
        self._count = 0
        self._over = True
        self.obs_space: dict[str, Space] = dict(STANDARD_SPACES)
        if options.image:
            self.obs_space["image"] = Space(np.uint8, (options.size, options.size, 3), 0, 255)
        if options.vector:
            self.obs_space["vector"] = Space(np.float32, (_CHOICES,), 0, 1)
        action = (
            Space(np.float32, (_CHOICES,), 0, 1, discrete=True)
            if discrete
            else Space(np.float32, (_DIMS,), -1, 1)
        )
        self.act_space: dict[str, Space] = {"action": action}

    def step(self, action: np.ndarray | None) -> Obs:
        """Pays for a match and shows the next target; see `Env.step`."""
        first = self._over or action is None
        reward, terminal = 0.0, False
        if action is None or first:
            self._count = 0
        else:
            self._count += 1
            reward = float(self._choice(action) == self._target)
            terminal = bool(self._rng.random() < self._options.death)
        self._target = int(self._rng.integers(_CHOICES))
        self._over = not first and (terminal or self._count >= self._options.length)
        return self._obs(standard_obs(reward, first, self._over, terminal))

    def _choice(self, action: np.ndarray) -> int:
        if self._discrete:
            return int(np.argmax(action))
        return int(action[0] > 0) + 2 * int(action[1] > 0)

    def _obs(self, obs: Obs) -> Obs:
        if self._options.image:
            image = self._rng.integers(0, 32, self.obs_space["image"].shape, np.uint8)
            half = self._options.size // 2
            row, col = divmod(self._target, 2)
            image[row * half : (row + 1) * half, col * half : (col + 1) * half] += 200
            obs["image"] = image
        if self._options.vector:
            obs["vector"] = np.eye(_CHOICES, dtype=np.float32)[self._target]
        return obs
