"""The parts a run is made of: environments and replays of all members."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from embodied.core.env import Env
from embodied.core.errors import UserError
from embodied.core.learner import Arrays, Learner
from embodied.core.rng import derive_seed
from embodied.records.logger import say
from embodied.replay import Replay
from embodied.replay.chunks import ReplayFiles
from embodied.replay.replay import ring_size
from embodied.run.config import RunConfig, fill_step, sampling
from embodied.run.evaluation import MakeEnv, open_env, open_envs, require
from embodied.stepping.driver import Driver


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


@dataclasses.dataclass
class World:
    """What the agents act in and learn from.

    Args:
      driver: steps the environments.
      replays: one for each member.
      files: the same replays on disk.
    """

    driver: Driver
    replays: list[Replay]
    files: list[ReplayFiles]


def open_world(
    setup: Setup, active: Sequence[int], step: int, loops: Mapping[int, Arrays]
) -> World:
    """Makes the environments of the active members and empty replays for all.

    Args:
      setup: what the run is made of.
      active: the members that are not frozen.
      step: agent steps done.
      loops: by member the saved arrays of its loop; an environment whose state is not among them
        starts afresh with a seed of its own.

    Raises:
      UserError: when an environment cannot be made, or the replay cannot hold the windows that
        training starts with.
    """
    run = setup.run
    capacity = _check_capacity(run, setup.batch_length)

    def make(n: int, row: int) -> Env:
        since = 0 if n not in loops or f"env/{row}" in loops[n] else step
        seed = derive_seed(setup.seeds[n], 0, since, row)
        return open_env(setup.make_env, n, row, seed, run, run.env_process)

    places = [(n, row) for n in active for row in range(run.envs)]
    envs, errors = open_envs(make, places, len(setup.seeds))
    if errors:
        for env in (env for row in envs for env in row):
            env.close()
        require(errors, setup.seeds)
    first = envs[active[0]][0]
    if not first.savable:
        say(
            "note: this environment cannot save its state; a resumed run starts new episodes and "
            "so differs from an undisturbed one"
        )
    driver = Driver(envs, run.envs * len(active) if run.env_process else 0)
    try:
        replays = _open_replays(setup, driver, capacity)
    except UserError:
        driver.close()
        raise
    return World(driver, replays, [ReplayFiles(replay) for replay in replays])


def _check_capacity(run: RunConfig, length: int) -> int:
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


def _open_replays(setup: Setup, driver: Driver, capacity: int) -> list[Replay]:
    """Makes the replays and says how large they are."""
    run, length = setup.run, setup.batch_length
    latents = setup.learner.stored_space
    spaces = {**driver.spaces, **latents}
    windows = sampling(run, length)
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
    say(
        f"replay: {len(replays)} x {capacity:,} steps, {size / 1e9:.2f} GB; training starts at "
        f"step {fill_step(run, length):,}"
    )
    return replays
