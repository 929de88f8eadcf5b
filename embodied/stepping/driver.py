"""Steps the environments of all members and follows their episodes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np

from embodied.core.env import Env, Obs
from embodied.stepping.workers import Row


@dataclasses.dataclass(frozen=True)
class Episode:
    """A finished episode.

    Args:
      member: index of the member whose environment it was.
      row: index of the environment.
      total: sum of the rewards.
      length: agent steps, without the reset.
      terminated: it ended by itself and not by a time limit.
      success: whether any step was a success; None where the environment does not say.
      logs: what the keys `log_<name>` of the last observation say, by name, for the records.
    """

    member: int
    row: int
    total: float
    length: int
    terminated: bool
    success: bool | None
    logs: dict[str, float] = dataclasses.field(default_factory=dict)


class Driver:
    """N members times E environments.

    Attributes:
      obs: the newest observations, arrays [N, E, ...]; new arrays at every step.
      spaces: of observations and actions by name.
      act_space: what an action is.
      repeat: frames for each agent step.

    Args:
      envs: environments [N][E] with equal spaces, or none at all for a member that is never
        active; the driver closes them.
      threads: step the environments from as many threads; helps only where stepping waits for
        another process (a simulator that computes in this process does not gain). All rows of a
        `Worker` are stepped by one call.
    """

    def __init__(self, envs: Sequence[Sequence[Env]], threads: int = 0) -> None:
        self.envs = [list(row) for row in envs]
        shape = (len(self.envs), max(len(row) for row in self.envs))
        first = next(env for row in self.envs for env in row)
        self.spaces = {**first.obs_space, **first.act_space}
        self.repeat = first.repeat
        self.act_space = first.act_space["action"]
        self.obs: Obs = {
            key: np.zeros((*shape, *space.shape), space.dtype)
            for key, space in first.obs_space.items()
        }
        self._totals = np.zeros(shape, np.float64)
        self._lengths = np.zeros(shape, np.int64)
        self._success = np.zeros(shape, bool)
        self._idle = np.zeros((*shape, *self.act_space.shape), np.float32)
        self._pool = ThreadPoolExecutor(threads) if threads else None

    def step(
        self, actions: np.ndarray, active: np.ndarray
    ) -> tuple[list[Episode], dict[int, Exception]]:
        """Steps the active environments and puts what they return into `obs`.

        An environment that lost its episode (a restarted process) returns `is_first` after an
        observation that was not `is_last`: that episode is dropped, and the caller sees it as
        `obs['is_first'] & ~before['is_last']`.

        Args:
          actions: float32 [N, E, A].
          active: bool [N, E]; the others keep their observation.

        Returns:
          The episodes that ended, and by member the error of an environment that raised; such a
          member keeps all its observations.
        """
        places = [(int(n), int(e)) for n, e in np.argwhere(active)]
        results = self._call(places, actions)
        errors = {n: r for (n, _), r in zip(places, results) if isinstance(r, Exception)}
        obs = {key: value.copy() for key, value in self.obs.items()}
        episodes = []
        for (n, e), result in zip(places, results):
            if n in errors or isinstance(result, Exception):
                continue
            for key, value in result.items():
                obs[key][n, e] = value
            episode = self._follow(n, e, result)
            if episode:
                episodes.append(episode)
        self.obs = obs
        return episodes, errors

    def reset(self, active: np.ndarray) -> dict[int, Exception]:
        """Takes the first observation of the active environments; returns errors as `step` does.

        Args:
          active: bool [N, E].
        """
        return self.step(self._idle, active)[1]

    def save(
        self, member: int, broken: bool = False
    ) -> tuple[Obs, list[bytes | None], dict[str, Any]]:
        """Returns a member's observations [E, ...], environment states and partial episodes.

        Args:
          member: index of the member.
          broken: do not ask its environments, one of them failed.
        """
        obs = {key: value[member].copy() for key, value in self.obs.items()}
        episodes = {
            "totals": self._totals[member].tolist(),
            "lengths": self._lengths[member].tolist(),
            "success": self._success[member].tolist(),
        }
        return obs, [None if broken else env.save() for env in self.envs[member]], episodes

    def load(
        self, member: int, obs: Obs, states: Sequence[bytes | None], episodes: dict[str, Any]
    ) -> None:
        """Continues where `save` was called.

        The episode of an environment without a state is cut: its observation is marked `is_last`,
        so that the next step starts a new one, and it leaves no record.

        Args:
          member: index of the member.
          obs: its observations [E, ...].
          states: of its environments; None for one that could not save.
          episodes: its partial episodes.
        """
        for key, value in obs.items():
            self.obs[key][member] = value
        self._totals[member] = episodes["totals"]
        self._lengths[member] = episodes["lengths"]
        self._success[member] = episodes["success"]
        for row, (env, state) in enumerate(zip(self.envs[member], states)):
            if state is None:
                self.obs["is_last"][member, row] = True
            else:
                env.load(state)

    def close(self) -> None:
        """Closes all environments, whatever one of them raises."""
        with contextlib.ExitStack() as stack:
            if self._pool:
                stack.callback(self._pool.shutdown)
            for row in self.envs:
                for env in row:
                    stack.callback(env.close)

    def _call(self, places: list[tuple[int, int]], actions: np.ndarray) -> list[Obs | Exception]:
        """Returns for each place its observation, or the error of the call it was part of."""
        groups: dict[int, list[tuple[int, int]]] = {}
        for n, e in places:
            env = self.envs[n][e]
            groups.setdefault(id(env.worker if isinstance(env, Row) else env), []).append((n, e))

        def one(group: list[tuple[int, int]]) -> list[Obs] | Exception:
            env = self.envs[group[0][0]][group[0][1]]
            try:
                if not isinstance(env, Row):
                    return [env.step(actions[group[0]])]
                rows = [cast(Row, self.envs[n][e]).index for n, e in group]
                many = env.worker.step(rows, np.stack([actions[place] for place in group]))
                return [{key: value[k] for key, value in many.items()} for k in range(len(group))]
            except Exception as error:
                return error

        calls = groups.values()
        answers = self._pool.map(one, calls) if self._pool else map(one, calls)
        found: dict[tuple[int, int], Obs | Exception] = {}
        for group, results in zip(calls, answers):
            for k, place in enumerate(group):
                found[place] = results if isinstance(results, Exception) else results[k]
        return [found[place] for place in places]

    def _follow(self, n: int, e: int, obs: Obs) -> Episode | None:
        """Adds a step to the running episode and returns it when it ended."""
        if obs["is_first"]:
            self._totals[n, e] = self._lengths[n, e] = self._success[n, e] = 0
        else:
            self._totals[n, e] += obs["reward"]
            self._lengths[n, e] += 1
        if "success" in obs:
            self._success[n, e] |= bool(np.any(obs["success"] > 0))
        if not obs["is_last"]:
            return None
        success = bool(self._success[n, e]) if "success" in obs else None
        terminated = bool(obs["is_terminal"])
        logs = {key[4:]: float(obs[key]) for key in obs if key[:4] == "log_" and not obs[key].ndim}
        total, length = float(self._totals[n, e]), int(self._lengths[n, e])
        return Episode(n, e, total, length, terminated, success, logs)
