"""What a run is made of, and how its environments and replays are made."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from embodied.core.env import Env
from embodied.core.errors import EnvError, UserError
from embodied.core.learner import Arrays, Learner
from embodied.core.rng import derive_seed
from embodied.records.progress import say
from embodied.replay import Replay
from embodied.replay.replay import ring_size
from embodied.run.config import RunConfig, fill_step, sampling
from embodied.stepping.driver import Driver
from embodied.stepping.groups import Group, Local
from embodied.stepping.process import ProcessGroup

# (member, index of the environment, seed) -> environment
MakeEnv = Callable[[int, int, int], Env]


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a run is made of; see `embodied.run.train_eval`."""

    learner: Learner
    make_env: MakeEnv
    make_eval_env: MakeEnv | None
    logdirs: Sequence[Path]
    root: Path
    seeds: Sequence[int]
    run: RunConfig
    batch_size: int
    batch_length: int
    stop: Callable[[], bool] = lambda: False


def open_group(
    make_env: MakeEnv,
    places: Sequence[tuple[int, int, int]],
    run: RunConfig,
    name: str | None,
    stop: Callable[[], bool] = lambda: False,
) -> Group:
    """Makes the environments of some rows of a member.

    Args:
      make_env: must be picklable for a process (no lambda, no local function).
      places: what it is called with.
      run: gives the time limit.
      name: of the process that they share, for messages; None for this process.
      stop: whether the run was asked to stop.
    """
    if name is None:
        return Local([functools.partial(make_env, *place) for place in places])
    ctors = [functools.partial(_make_again, make_env, *place) for place in places]
    return ProcessGroup(ctors, name, run.env_timeout, stop=stop)


def _make_again(make_env: MakeEnv, member: int, row: int, seed: int, restarts: int) -> Env:
    # The same seed would play the same episodes again, into the same fault if it repeats.
    return make_env(member, row, derive_seed(seed, restarts) if restarts else seed)


def open_groups(
    starts: Sequence[tuple[int, Callable[[], Group]]], size: int, threads: int = 0
) -> tuple[list[list[Group]], dict[int, Exception]]:
    """Makes the groups of several members.

    Args:
      starts: for each group its member and what makes it.
      size: number of members N.
      threads: make as many at a time; 0 makes them in this thread: a renderer belongs to one.

    Returns:
      Groups by member, and by member the error of one that could not be made; such a member has
      none.
    """

    def one(start: tuple[int, Callable[[], Group]]) -> Group | Exception:
        try:
            return start[1]()
        except Exception as error:
            return error
        except SystemExit as error:  # Of the environment's code.
            return EnvError(f"it called sys.exit({error.code!r})")

    with ThreadPoolExecutor(threads or 1) as pool:
        results = list(pool.map(one, starts) if threads else map(one, starts))
    pairs = [(n, result) for (n, _), result in zip(starts, results)]
    errors = {n: result for n, result in pairs if isinstance(result, Exception)}
    groups: list[list[Group]] = [[] for _ in range(size)]
    for n, result in pairs:
        if not isinstance(result, Exception):
            if n in errors:
                result.close()
            else:
                groups[n].append(result)
    return groups, errors


def open_driver(
    setup: Setup, active: Sequence[int], step: int, loops: Mapping[int, Arrays]
) -> Driver:
    """Makes the training environments of the active members.

    Args:
      setup: what the run is made of.
      active: the members that are not frozen.
      step: agent steps done.
      loops: by member the saved arrays of its loop; an environment whose state is not among them
        starts afresh with a seed of its own.

    Raises:
      UserError: when an environment cannot be made.
    """
    run = setup.run

    def seed(n: int, row: int) -> int:
        since = 0 if n not in loops or f"env/{row}" in loops[n] else step
        return derive_seed(setup.seeds[n], 0, since, row)

    starts: list[tuple[int, Callable[[], Group]]] = []
    for n in active:
        places = [(n, row, seed(n, row)) for row in range(run.envs)]
        shares: list[Any] = [(places, None)]
        if run.env_process:
            shares = [([each], f"environment {each[1]} of member {n}") for each in places]
        starts += [
            (n, functools.partial(open_group, setup.make_env, share, run, name, setup.stop))
            for share, name in shares
        ]
    groups, errors = open_groups(starts, len(setup.seeds))
    if errors:
        for group in (group for mine in groups for group in mine):
            group.close()
        require(errors, setup.seeds)
    driver = Driver(groups, len(starts) if run.env_process else 0, run.episode_limit)
    if not driver.savable:
        say(
            "note: this environment cannot save its state; a resumed run starts new episodes and "
            "so differs from an undisturbed one"
        )
    return driver


def check_capacity(run: RunConfig, length: int) -> int:
    """Returns the size of a replay, if it holds the windows that training starts with."""
    capacity = min(run.replay_size, run.steps)
    item = 1 if run.replay_episodes else sampling(run, length).item
    most = (ring_size(capacity, run.envs) - item + 1) * run.envs
    if most < run.train_fill:
        raise UserError(
            f"run.train_fill is {run.train_fill} windows, but a replay of {capacity} steps has "
            f"only {max(most, 0)} in run.envs = {run.envs} streams; lower it, or raise "
            "run.replay_size and run.steps"
        )
    return capacity


def open_replays(setup: Setup, driver: Driver, capacity: int | None = None) -> list[Replay]:
    """Makes empty replays, one for each member, and says how large they are.

    Args:
      setup: what the run is made of.
      driver: knows what a step holds.
      capacity: transitions of each, where they are fixed (`run.offline`).
    """
    run, length, latents = setup.run, setup.batch_length, setup.learner.stored_space
    windows, start = sampling(run, length), "training starts with them"
    if capacity is None:
        capacity = check_capacity(run, length)
        start = f"training starts at step {fill_step(run, length):,}"
    spaces = {**driver.spaces, **latents}
    # A ring for each environment: more than the capacity where that is no multiple of them.
    stores = setup.learner.make_stores(spaces, ring_size(capacity, run.envs) * run.envs)
    try:
        replays = [
            Replay(spaces, capacity, run.envs, windows, seed, store, latents)
            for seed, store in zip(setup.seeds, stores)
        ]
    except MemoryError as error:
        raise UserError(
            f"no memory for {len(stores)} replays of {capacity:,} steps: {error}; lower "
            "run.replay_size"
        ) from error
    size = sum(replay.store.nbytes for replay in replays)
    say(f"replay: {len(replays)} x {capacity:,} steps, {size / 1e9:.2f} GB; {start}")
    return replays


def require(errors: Mapping[int, Exception], seeds: Sequence[int]) -> None:
    """Raises the first member's error, if any, as one that the user can act on."""
    for member, error in errors.items():
        raise UserError(describe(error, seeds[member])) from error


def describe(error: Exception, seed: int) -> str:
    """Returns what to say about an environment that raised."""
    if isinstance(error, UserError) and not isinstance(error, EnvError):
        return f"seed {seed}: {error}"
    what = f"seed {seed}: {error}"
    if not isinstance(error, EnvError):
        what = f"an environment of seed {seed} raised {type(error).__name__}: {error}"
    return (
        f"{what} (run.env_process, or in evaluations run.eval_processes, restarts environments "
        "that crash)"
    )
