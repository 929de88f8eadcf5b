"""Environments behind one call: those of this process, or all that live in another one."""

from __future__ import annotations

import faulthandler
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from embodied.core.env import Env, Obs
from embodied.core.space import Space


class Group(Protocol):
    """Environments with equal spaces that are stepped by one call; one alone is a group, too."""

    size: int  # number of environments K; each is a row
    obs_space: dict[str, Space]  # of each
    act_space: dict[str, Space]  # of each
    repeat: int  # frames for each agent step
    savable: bool  # whether `save` returns states

    def step(self, rows: Sequence[int], actions: Sequence[np.ndarray | None]) -> Obs:
        """Steps some rows, one after another; see `Env.step`.

        Args:
          rows: their indices.
          actions: for each an action (A,), or None to start an episode.

        Returns:
          Observations [len(rows), ...] in the order asked for.
        """
        ...

    def save(self) -> list[bytes | None]:
        """Returns the state of each row; None for one that cannot be had."""
        ...

    def load(self, row: int, data: bytes) -> None:
        """Continues a row where `save` was called."""
        ...

    def close(self) -> None:
        """Frees everything; calling it twice is fine."""
        ...


class Local:
    """A group of environments in this process, which ends when a step takes `timeout` seconds."""

    def __init__(self, ctors: Sequence[Callable[[], Env]], timeout: float = 0.0) -> None:
        self._envs: list[Env] = []
        self._timeout = timeout
        try:
            for ctor in ctors:
                self._envs.append(ctor())
        except BaseException:
            self.close()
            raise
        first = self._envs[0]
        self.size = len(self._envs)
        self.obs_space, self.act_space = first.obs_space, first.act_space
        self.repeat = first.repeat
        self.savable = all(env.savable for env in self._envs)

    def step(self, rows: Sequence[int], actions: Sequence[np.ndarray | None]) -> Obs:
        """Steps some rows; see `Group.step`."""
        results = []
        for row, action in zip(rows, actions):
            if self._timeout:  # Needs no lock of the interpreter, and has the time of one row.
                faulthandler.dump_traceback_later(self._timeout, exit=True)
            results.append(self._envs[row].step(action))
        return {key: np.stack([obs[key] for obs in results]) for key in results[0]}

    def save(self) -> list[bytes | None]:
        """Returns the state of each row; see `Group.save`."""
        return [env.save() for env in self._envs]

    def load(self, row: int, data: bytes) -> None:
        """Restores a row; see `Group.load`."""
        self._envs[row].load(data)

    def close(self) -> None:
        """Closes all environments."""
        for env in self._envs:
            env.close()
