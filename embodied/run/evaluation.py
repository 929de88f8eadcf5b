"""Evaluation: a pure function of a policy, the members' seeds and the agent step."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from embodied.core.env import Env
from embodied.core.errors import EnvError, UserError
from embodied.core.learner import Learner
from embodied.core.rng import derive_seed
from embodied.run.config import RunConfig
from embodied.stepping.driver import Driver, Episode
from embodied.stepping.parallel import ProcessEnv
from embodied.stepping.workers import Worker, shares, spare_cores

# (member, index of the environment, seed) -> environment
MakeEnv = Callable[[int, int, int], Env]


class Closable(Protocol):
    """What `open_envs` makes."""

    def close(self) -> None:
        """Frees what it holds."""


Made = TypeVar("Made", bound=Closable)


def open_env(
    make_env: MakeEnv, member: int, row: int, seed: int, run: RunConfig, process: bool
) -> Env:
    """Returns an environment, in a process of its own if asked.

    Args:
      make_env: must be picklable for a process (no lambda, no local function).
      member: index of the member.
      row: index of the environment.
      seed: of the environment; one that takes the place of a crashed one has another.
      run: gives the time limit.
      process: whether to run it in a process of its own.
    """
    if not process:
        return make_env(member, row, seed)
    ctor = functools.partial(_open_again, make_env, member, row, seed)
    return ProcessEnv(ctor, f"environment {row} of member {member}", run.env_timeout)


def _open_again(make_env: MakeEnv, member: int, row: int, seed: int, restarts: int) -> Env:
    return make_env(member, row, derive_seed(seed, restarts) if restarts else seed)


def open_envs(
    make: Callable[[int, int], Made], places: Sequence[tuple[int, int]], size: int, threads: int = 0
) -> tuple[list[list[Made]], dict[int, Exception]]:
    """Makes the environments, or workers, of several members.

    Args:
      make: called with member and row.
      places: members and rows.
      size: number of members N.
      threads: make as many at a time; 0 makes them in this thread: a renderer belongs to one.

    Returns:
      Environments `[N][rows]`, and by member the error of one that could not be made; such a member
      has none.
    """

    def one(place: tuple[int, int]) -> Made | Exception:
        try:
            return make(*place)
        except Exception as error:
            return error

    with ThreadPoolExecutor(threads or 1) as pool:
        made = list(pool.map(one, places) if threads else map(one, places))
    found = list(zip(places, made))
    errors = {n: env for (n, _), env in found if isinstance(env, Exception)}
    envs: list[list[Made]] = [[] for _ in range(size)]
    for (n, _), env in found:
        if n not in errors:
            envs[n].append(cast(Made, env))
        elif not isinstance(env, Exception):
            env.close()
    return envs, errors


class Interrupted(Exception):
    """The evaluation was asked to stop; nothing of it is kept."""


@dataclasses.dataclass
class Outcome:
    """What an evaluation found, by member.

    Args:
      episodes: in the order of rows, and in time within a row.
      frames: uint8 [T, H, W, C] of the first row's first episode; None without images.
      errors: of the members whose environment failed; they have no result.
      repeat: frames for each agent step.
    """

    episodes: dict[int, list[Episode]]
    frames: dict[int, np.ndarray | None]
    errors: dict[int, Exception]
    repeat: int


def quotas(episodes: int, rows: int) -> np.ndarray:
    """Returns how many episodes each row plays; rows differ by at most one.

    A fixed number for each row: taking whichever episodes end first would favour short ones.

    Args:
      episodes: over all rows.
      rows: environments side by side; no more than `episodes` are used.

    Returns:
      int64 [rows].
    """
    rows = min(rows, episodes)
    return episodes // rows + (np.arange(rows) < episodes % rows)


def evaluate_policy(
    make_env: MakeEnv,
    learner: Learner,
    policy: Any,
    seeds: Sequence[int],
    members: Sequence[int],
    step: int,
    run: RunConfig,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Plays `run.eval_eps` episodes with each member in environments made for it.

    Args:
      make_env: called with member, row and a seed that depends on the member's seed, the step and
        the row alone.
      learner: chooses the actions in mode `eval`, with the counter (step, time).
      policy: a snapshot, or None for the newest parameters.
      seeds: of all members.
      members: the members to evaluate.
      step: agent step that the policy was trained for.
      run: see `RunConfig`.
      stop: asked before every step.

    Raises:
      Interrupted: when `stop` said so.
      UserError: when no environment could be made.
    """
    quota = quotas(run.eval_eps, run.eval_envs)
    envs, errors, threads = _open(make_env, seeds, members, len(quota), step, run)
    playing = [n for n in members if n not in errors]
    if not playing:
        require(errors, seeds)
    driver = Driver(envs, threads)
    try:
        outcome = _play(driver, learner, policy, playing, quota, step, run.video_length, stop)
    finally:
        driver.close()
    return dataclasses.replace(outcome, errors=errors | outcome.errors)


def _open(
    make_env: MakeEnv,
    seeds: Sequence[int],
    members: Sequence[int],
    rows: int,
    step: int,
    run: RunConfig,
) -> tuple[list[list[Env]], dict[int, Exception], int]:
    """Makes the environments, here or in processes, and says how many threads step them."""

    def seed(n: int, row: int) -> int:
        return derive_seed(seeds[n], 1, step, row)

    processes = spare_cores() if run.eval_processes < 0 else run.eval_processes
    if not processes:
        places = [(n, row) for n in members for row in range(rows)]
        return *open_envs(lambda n, row: make_env(n, row, seed(n, row)), places, len(seeds)), 0
    # A worker has rows of one member only: what breaks it leaves the others alone.
    dealt = shares(rows, processes // len(members))

    def start(n: int, index: int) -> Worker:
        ctors = [functools.partial(_open_again, make_env, n, r, seed(n, r)) for r in dealt[index]]
        return Worker(ctors, f"evaluation worker {index} of member {n}", run.env_timeout)

    places = [(n, index) for n in members for index in range(len(dealt))]
    workers, errors = open_envs(start, places, len(seeds), len(places))
    envs: list[list[Env]] = [[] for _ in seeds]
    for n, mine in enumerate(workers):
        if mine:
            found = {r: row for w, share in zip(mine, dealt) for r, row in zip(share, w.rows)}
            envs[n] = [found[row] for row in range(rows)]
    return envs, errors, len(places)


def _play(
    driver: Driver,
    learner: Learner,
    policy: Any,
    members: list[int],
    quota: np.ndarray,
    step: int,
    video_length: int,
    stop: Callable[[], bool],
) -> Outcome:
    left = np.zeros((learner.size, len(quota)), np.int64)
    left[members] = quota
    outcome = Outcome({n: [] for n in members}, {}, driver.reset(left > 0), driver.repeat)
    camera = _Camera(driver, members, video_length)
    carry = learner.initial_carry(len(quota))
    time = 0
    camera.shoot(driver, left[:, 0] > 0)
    left[list(outcome.errors)] = 0
    while left.any():
        if stop():
            raise Interrupted
        carry, actions = learner.act(carry, driver.obs, (step, time), "eval", policy)
        episodes, errors = driver.step(actions, left > 0)
        camera.shoot(driver, left[:, 0] == quota[0])
        outcome.errors.update(errors)
        for episode in episodes:
            outcome.episodes[episode.member].append(episode)
            left[episode.member, episode.row] -= 1
        left[list(outcome.errors)] = 0
        time += 1
    for n in members:
        outcome.episodes[n].sort(key=lambda episode: episode.row)  # Stable: keeps time's order.
        outcome.frames[n] = camera.frames(n)
    for n in outcome.errors:
        del outcome.episodes[n]
    return outcome


class _Camera:
    """Collects the images of each member's first row."""

    def __init__(self, driver: Driver, members: list[int], length: int) -> None:
        keys = [
            key
            for key, value in driver.obs.items()
            if value.dtype == np.uint8 and value.ndim == 5 and value.shape[-1] in (1, 3)
        ]
        self._key = keys[0] if keys else None
        self._frames: dict[int, list[np.ndarray]] = {n: [] for n in members}
        self._length = length

    def shoot(self, driver: Driver, filming: np.ndarray) -> None:
        """Takes an image of each member for which `filming` [N] still holds."""
        for n, frames in self._frames.items():
            if self._key and filming[n] and len(frames) < self._length:
                frames.append(driver.obs[self._key][n, 0].copy())

    def frames(self, member: int) -> np.ndarray | None:
        """Returns uint8 [T, H, W, C], or None when there is nothing to see."""
        return np.stack(self._frames[member]) if self._frames[member] else None


def require(errors: dict[int, Exception], seeds: Sequence[int]) -> None:
    """Raises the first member's error, if any, as one that the user can act on."""
    for member, error in errors.items():
        raise UserError(describe(error, seeds[member])) from error


def describe(error: Exception, seed: int) -> str:
    """Returns what to say about an environment that raised."""
    if isinstance(error, UserError) and not isinstance(error, EnvError):
        return f"seed {seed}: {error}; the last checkpoint stays"
    what = f"seed {seed}: {error}"
    if not isinstance(error, EnvError):
        what = f"an environment of seed {seed} raised {type(error).__name__}: {error}"
    return (
        f"{what}; the last checkpoint stays (run.env_process, or in evaluations "
        "run.eval_processes, restarts environments that crash)"
    )
