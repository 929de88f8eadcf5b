"""The contract between an environment and everything that steps it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from embodied.core.space import Space

Obs = dict[str, np.ndarray]

# The key of an observation in which an environment says what may be done: float32 (A,), 1 where a
# choice is allowed. Acting and random play obey it.
MASK = "action_mask"

# Keys that every observation has beside what the agent sees.
STANDARD_SPACES: dict[str, Space] = {
    "reward": Space(np.float32),
    "is_first": Space(bool),
    "is_last": Space(bool),
    "is_terminal": Space(bool),
}


@runtime_checkable
class Env(Protocol):
    """One environment, stepped one action at a time.

    Attributes:
      obs_space: spaces by key; always holds `reward`, `is_first`, `is_last`, `is_terminal`.
      act_space: `{'action': Space}`: one-hot float32 (A,) with `discrete=True`, or float32 (A,)
        in [-1, 1].
      repeat: frames of the underlying simulation for each agent step.

    All randomness comes from the seed given to the constructor.
    """

    obs_space: dict[str, Space]
    act_space: dict[str, Space]
    repeat: int

    @property
    def savable(self) -> bool:
        """Whether `save` returns a state from which `load` continues exactly."""
        ...

    def step(self, action: np.ndarray | None) -> Obs:
        """Advances by one agent step.

        The first call ever, and the call after one that returned `is_last`, ignores the action,
        starts an episode and returns `is_first=True` with reward 0. `is_terminal` implies
        `is_last`; a time limit is `is_last` without `is_terminal`.

        Args:
          action: float32 (A,), see `act_space`; None starts an episode at once: the one before was
            cut from outside (`run.episode_limit`).

        Returns:
          One array for each key of `obs_space`.
        """
        ...

    def save(self) -> bytes | None:
        """Returns the exact state, random generators included, or None where it cannot."""
        ...

    def load(self, data: bytes) -> None:
        """Continues exactly where `save` was called, on an environment made with equal arguments.

        Raises:
          UserError: when the bytes are damaged or of another environment.
        """
        ...

    def close(self) -> None:
        """Frees windows, simulators and processes; calling it twice is fine."""
        ...


def standard_obs(
    reward: float = 0.0,
    is_first: bool = False,
    is_last: bool = False,
    is_terminal: bool = False,
) -> Obs:
    """Returns the keys of `STANDARD_SPACES` as arrays of the right dtype.

    Args:
      reward: reward of the step that led here; 0 at the first step.
      is_first: first observation of an episode.
      is_last: last observation of an episode, for whichever reason.
      is_terminal: the episode ended by itself and not by a time limit.
    """
    return {
        "reward": np.asarray(reward, np.float32),
        "is_first": np.asarray(is_first, bool),
        "is_last": np.asarray(is_last, bool),
        "is_terminal": np.asarray(is_terminal, bool),
    }
