"""Environments that share processes: one message to a process steps all that live there."""

from __future__ import annotations

import faulthandler
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from embodied.core.env import Env, Obs
from embodied.core.errors import UserError
from embodied.core.space import Space
from embodied.stepping.parallel import ProcessEnv


class Group:
    """Several environments behind one call; what a `Worker`'s process holds.

    Args:
      envs: with equal spaces; the group closes them.
      timeout: seconds after which a step of one of them ends the process.
    """

    savable = False

    def __init__(self, envs: Sequence[Env], timeout: float) -> None:
        self._envs = list(envs)
        self._timeout = timeout
        self.obs_space: dict[str, Space] = dict(envs[0].obs_space)
        self.act_space: dict[str, Space] = dict(envs[0].act_space)
        self.repeat = envs[0].repeat

    def step(self, asked: tuple[Sequence[int], np.ndarray]) -> Obs:
        """Steps some of the environments, one after another.

        Args:
          asked: their indices, and their actions `[K, A]`.

        Returns:
          Observations `[K, ...]` in the order asked for.
        """
        found = []
        for index, action in zip(*asked):
            faulthandler.dump_traceback_later(self._timeout, exit=True)  # As `ProcessEnv` does.
            found.append(self._envs[index].step(action))
        return {key: np.stack([obs[key] for obs in found]) for key in found[0]}

    def close(self) -> None:
        """Closes all environments."""
        for env in self._envs:
            env.close()


class Worker:
    """A process that steps several environments, restarted as a whole when one of them fails.

    Args:
      ctors: one for each environment, called with the number of restarts so far; picklable.
      name: for messages.
      timeout: seconds that a step of one environment may take.

    Raises:
      UserError: an environment cannot be made.
    """

    def __init__(self, ctors: Sequence[Callable[[int], Env]], name: str, timeout: float) -> None:
        make: Any = functools.partial(_make_group, list(ctors), timeout)
        self._process = ProcessEnv(make, name, timeout, share=len(ctors))
        self.rows = [Row(self, index, self._process) for index in range(len(ctors))]

    def step(self, indices: Sequence[int], actions: np.ndarray) -> Obs:
        """Steps the environments of these indices with actions `[K, A]`; see `Group.step`."""
        asked: Any = (list(indices), actions)
        return self._process.step(asked)

    def close(self) -> None:
        """Ends the process."""
        self._process.close()


class Row:
    """One environment of a `Worker`; a `Driver` steps all rows of a worker in one call.

    Args:
      worker: whose it is.
      index: which one there.
      like: has its spaces.
    """

    savable = False

    def __init__(self, worker: Worker, index: int, like: ProcessEnv) -> None:
        self.worker, self.index = worker, index
        self.obs_space, self.act_space, self.repeat = like.obs_space, like.act_space, like.repeat

    def step(self, action: np.ndarray) -> Obs:
        """Steps this environment alone; see `Env.step`."""
        obs = self.worker.step([self.index], np.asarray(action)[None])
        return {key: value[0] for key, value in obs.items()}

    def save(self) -> bytes | None:
        """Returns None: evaluations start anew, so nobody needs the state."""
        return None

    def load(self, data: bytes) -> None:
        """Refuses: nothing was ever saved."""
        raise UserError("the environments of a worker have no saved state")

    def close(self) -> None:
        """Ends the whole worker."""
        self.worker.close()


def spare_cores() -> int:
    """Returns how many processors may be used beside this process's own; 16 at most.

    More would not pay, and the jobs of a sweep on one large machine would start thousands.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Not on macOS.
    return min((len(affinity(0)) if affinity else os.cpu_count() or 1) - 1, 16)


def shares(rows: int, workers: int) -> list[list[int]]:
    """Deals rows out to workers, at least one to each.

    Args:
      rows: number of environments.
      workers: number of processes; no more than `rows` are used.
    """
    workers = min(max(workers, 1), rows)
    return [list(range(first, rows, workers)) for first in range(workers)]


def _make_group(ctors: Sequence[Callable[[int], Env]], timeout: float, restarts: int) -> Group:
    return Group([ctor(restarts) for ctor in ctors], timeout)
