"""Steps the environments of all members and follows their episodes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from embodied.core.env import Obs
from embodied.core.errors import Stopped
from embodied.stepping.groups import Group


@dataclasses.dataclass(frozen=True)
class Episode:
    """A finished episode."""

    member: int  # index of the member whose environment it was
    row: int  # index of the environment
    total: float  # sum of the rewards
    length: int  # agent steps, without the reset
    terminated: bool  # it ended by itself and not by a time limit
    success: bool | None  # whether any step was a success; None where the environment does not say
    # What the keys `log_<name>` of the last observation say, by name, for the records.
    logs: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Stepped:
    """What a step has brought beside observations.

    Args:
      episodes: those that ended.
      cut: bool [N, E], environments that lost the episode they were in (a restarted process): they
        start another after an observation that was not `is_last`. Such episodes are dropped. Where
        a restart was given up to stop, the observation stays, as an episode of its own.
      errors: by member what an environment raised; such a member keeps all its observations.
      limited: one of the episodes was ended by the driver's limit.
      stopped: by member, whose restart was given up to stop.
    """

    episodes: list[Episode]
    cut: np.ndarray
    errors: dict[int, Exception]
    limited: bool
    stopped: dict[int, Stopped] = dataclasses.field(default_factory=dict)


class Driver:
    """N members times E environments.

    Attributes:
      obs: the newest observations, arrays [N, E, ...]; new arrays at every step.
      spaces: of observations and actions by name.
      act_space: what an action is.
      repeat: frames for each agent step.
      savable: whether environments have states to save.

    Args:
      groups: groups of each member, together E environments with equal spaces, or none at all for
        a member that is never active; the driver closes them.
      threads: step the groups from as many threads; helps only where stepping waits for another
        process (a simulator that computes in this process does not gain).
      limit: agent steps after which an episode is cut, as by a time limit; 0 for none.
    """

    def __init__(self, groups: Sequence[Sequence[Group]], threads: int = 0, limit: int = 0) -> None:
        self._groups = [list(mine) for mine in groups]
        self._limit = limit
        first = next(group for mine in self._groups for group in mine)
        shape = (len(self._groups), max(sum(g.size for g in mine) for mine in self._groups))
        self.spaces = {**first.obs_space, **first.act_space}
        self.repeat, self.savable = first.repeat, first.savable
        self.act_space = first.act_space["action"]
        self.obs: Obs = {
            key: np.zeros((*shape, *space.shape), space.dtype)
            for key, space in first.obs_space.items()
        }
        self.obs["is_last"][:] = True  # The first step starts an episode.
        self._totals = np.zeros(shape, np.float64)
        self._lengths = np.zeros(shape, np.int64)
        self._success = np.zeros(shape, bool)
        self._pool = ThreadPoolExecutor(threads) if threads else None

    def step(self, actions: np.ndarray, active: np.ndarray) -> Stepped:
        """Steps the active [N, E] environments and puts what they return into `obs`.

        Actions are float32 [N, E, A], not looked at where the last observation was `is_last`.
        """
        calls = self._calls(active)
        answers = self._answer(calls, actions)
        failed = {n: a for (n, *_), a in zip(calls, answers) if isinstance(a, Exception)}
        stopped = {n: error for n, error in failed.items() if isinstance(error, Stopped)}
        errors = {n: error for n, error in failed.items() if n not in stopped}
        obs = {key: value.copy() for key, value in self.obs.items()}
        episodes = []
        cut, limited = np.zeros(active.shape, bool), False
        for (n, _, first, rows), answer in zip(calls, answers):
            places = first + np.array(rows)
            if isinstance(answer, Stopped):
                cut[n, places] = ~self.obs["is_last"][n, places]
                obs["is_first"][n, places] = obs["is_last"][n, places] = True
                obs["is_terminal"][n, places] = obs["reward"][n, places] = 0
            if n in errors or isinstance(answer, Exception):
                continue
            cut[n, places] = answer["is_first"] & ~self.obs["is_last"][n, places]
            for key, value in answer.items():
                obs[key][n, places] = value
            for e in places:
                limited |= self._count(n, e, obs)
                episode = self._end(n, e, obs)
                if episode:
                    episodes.append(episode)
        self.obs = obs
        return Stepped(episodes, cut, errors, limited, stopped)

    def reset(self, active: np.ndarray) -> dict[int, Exception]:
        """Takes the first observation of the `active` [N, E] environments; returns all errors."""
        idle = np.zeros((*active.shape, *self.act_space.shape), np.float32)
        stepped = self.step(idle, active)
        return {**stepped.errors, **stepped.stopped}

    def save(
        self, member: int, broken: bool = False
    ) -> tuple[Obs, list[bytes | None], dict[str, Any]]:
        """Returns a member's observations [E, ...], environment states and partial episodes.

        `broken`: do not ask its environments, one of them failed.
        """
        obs = {key: value[member].copy() for key, value in self.obs.items()}
        episodes = {
            "totals": self._totals[member].tolist(),
            "lengths": self._lengths[member].tolist(),
            "success": self._success[member].tolist(),
        }
        states: list[bytes | None] = []
        for group in self._groups[member]:
            states += [None] * group.size if broken else group.save()
        return obs, states, episodes

    def load(
        self, member: int, obs: Obs, states: Sequence[bytes | None], episodes: dict[str, Any]
    ) -> None:
        """Continues where `save` was called.

        The episode of an environment without a state is cut: its observation is marked `is_last`,
        so that the next step starts a new one, and it leaves no record.
        """
        for key, value in obs.items():
            self.obs[key][member] = value
        self._totals[member] = episodes["totals"]
        self._lengths[member] = episodes["lengths"]
        self._success[member] = episodes["success"]
        places = [(group, row) for group in self._groups[member] for row in range(group.size)]
        for e, ((group, row), state) in enumerate(zip(places, states)):
            if state is None:
                self.obs["is_last"][member, e] = True
            else:
                group.load(row, state)

    def close(self) -> None:
        """Closes all environments, whatever one of them raises."""
        with contextlib.ExitStack() as stack:
            if self._pool:
                stack.callback(self._pool.shutdown)
            for mine in self._groups:
                for group in mine:
                    stack.callback(group.close)

    def _calls(self, active: np.ndarray) -> list[tuple[int, Group, int, list[int]]]:
        """Returns for each group with active rows: member, group, its first place, those rows."""
        calls = []
        for n, mine in enumerate(self._groups):
            first = 0
            for group in mine:
                rows = np.flatnonzero(active[n, first : first + group.size]).tolist()
                if rows:
                    calls.append((n, group, first, rows))
                first += group.size
        return calls

    def _answer(
        self, calls: list[tuple[int, Group, int, list[int]]], actions: np.ndarray
    ) -> list[Obs | Exception]:
        """Returns the observations of each call, or what it raised."""

        def one(call: tuple[int, Group, int, list[int]]) -> Obs | Exception:
            n, group, first, rows = call
            over = self.obs["is_last"][n, first : first + group.size]
            try:
                return group.step(rows, [None if over[r] else actions[n, first + r] for r in rows])
            except Exception as error:
                return error

        return list(self._pool.map(one, calls) if self._pool else map(one, calls))

    def _count(self, n: int, e: int, obs: Obs) -> bool:
        """Adds a step to the running episode; returns whether the limit ends it."""
        if obs["is_first"][n, e]:
            self._totals[n, e] = self._lengths[n, e] = self._success[n, e] = 0
        else:
            self._totals[n, e] += obs["reward"][n, e]
            self._lengths[n, e] += 1
        if "success" in obs:
            self._success[n, e] |= bool(np.any(obs["success"][n, e] > 0))
        if self._lengths[n, e] != self._limit or not self._limit or obs["is_last"][n, e]:
            return False
        obs["is_last"][n, e] = True
        return True

    def _end(self, n: int, e: int, obs: Obs) -> Episode | None:
        """Returns the episode that this step has ended, if any."""
        if not obs["is_last"][n, e]:
            return None
        logs = {
            key.removeprefix("log_"): float(value[n, e])
            for key, value in obs.items()
            if key.startswith("log_") and value.ndim == 2
        }
        return Episode(
            n,
            int(e),
            float(self._totals[n, e]),
            int(self._lengths[n, e]),
            bool(obs["is_terminal"][n, e]),
            bool(self._success[n, e]) if "success" in obs else None,
            logs,
        )
