"""Evaluation: a pure function of a policy, the members' seeds and the agent step."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from embodied.core.learner import Learner
from embodied.core.rng import derive_seed
from embodied.records.progress import say
from embodied.run.config import RunConfig
from embodied.run.setup import MakeEnv, open_group, open_groups, require
from embodied.stepping.driver import Driver, Episode
from embodied.stepping.groups import Group

_SILENCE = 30.0  # Seconds between words about an evaluation in progress.


@dataclasses.dataclass
class Outcome:
    """What an evaluation has brought, by member."""

    episodes: dict[int, list[Episode]]  # in the order of rows, and in time within a row
    # Of the first row's first episode, uint8 [T, H, W, C]; None without images.
    frames: dict[int, np.ndarray | None]
    errors: dict[int, Exception]  # of the members whose environment failed; they have no result
    repeat: int  # frames for each agent step
    cut: bool = False  # it was asked to stop before all episodes had ended
    limited: bool = False  # an episode was ended by `run.episode_limit`


def quotas(episodes: int, rows: int) -> np.ndarray:
    """Returns how many of all episodes each of the rows plays, int64 [rows], nearly as many each.

    A fixed number for each row: taking whichever episodes end first would favour short ones. No
    more rows are used than there are episodes.
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
    """Plays `run.eval_eps` episodes with some members, each in environments made for it.

    Args:
      make_env: called with member, row and a seed that depends on the member's seed, the step and
        the row alone.
      learner: chooses the actions in mode `eval`, with the counter (step, time).
      policy: a snapshot, or None for the newest parameters.
      seeds: of all members.
      members: those to evaluate.
      step: agent step that the policy was trained for.
      run: see `RunConfig`.
      stop: asked before every step; the outcome then has what had ended by then.

    Raises:
      UserError: when no environment could be made.
    """
    quota = quotas(run.eval_eps, run.eval_envs)
    starts: list[tuple[int, Callable[[], Group]]] = []
    processes = spare_cores() if run.eval_processes < 0 else run.eval_processes
    # A process has rows of one member only: what breaks it leaves the others alone.
    count = min(max(processes // len(members), 1), len(quota)) if processes else 1
    for n in members:
        for index, share in enumerate(np.array_split(np.arange(len(quota)), count)):
            places = [(n, int(row), derive_seed(seeds[n], 1, step, int(row))) for row in share]
            name = f"evaluation worker {index} of member {n}" if processes else None
            starts.append((n, functools.partial(open_group, make_env, places, run, name, stop)))
    threads = len(starts) if processes else 0
    groups, errors = open_groups(starts, len(seeds), threads)
    playing = [n for n in members if n not in errors]
    if not playing:
        require(errors, seeds)
    driver = Driver(groups, threads, run.episode_limit)
    try:
        outcome = _play(driver, learner, policy, playing, quota, step, run.video_length, stop)
    finally:
        driver.close()
    return dataclasses.replace(outcome, errors=errors | outcome.errors)


def spare_cores() -> int:
    """Returns how many processors may be used beside this process's own; 16 at most.

    More would not pay, and the jobs of a sweep on one large machine would start thousands.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Not on macOS.
    return min((len(affinity(0)) if affinity else os.cpu_count() or 1) - 1, 16)


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
    left = np.zeros((learner.size, len(quota)), np.int64)  # Episodes that each row has to play.
    left[members] = quota
    outcome = Outcome({n: [] for n in members}, {}, driver.reset(left > 0), driver.repeat)
    camera = _Camera(driver, members, video_length)
    carry = learner.initial_carry(len(quota))
    count, spoken = 0, time.monotonic()
    camera.shoot(driver, left[:, 0] > 0)
    left[list(outcome.errors)] = 0
    while left.any():
        if stop():
            outcome.cut = True
            break
        carry, actions = learner.act(carry, driver.obs, (step, count), "eval", policy)
        stepped = driver.step(actions, left > 0)
        camera.shoot(driver, left[:, 0] == quota[0])
        outcome.errors.update(stepped.errors)
        outcome.limited |= stepped.limited
        for episode in stepped.episodes:
            outcome.episodes[episode.member].append(episode)
            left[episode.member, episode.row] -= 1
        left[list(outcome.errors)] = 0
        count += 1
        if time.monotonic() - spoken > _SILENCE:
            spoken = time.monotonic()
            total = len(members) * int(quota.sum())
            say(f"evaluating: {total - left.sum():,} of {total:,} episodes, agent step {count:,}")
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
