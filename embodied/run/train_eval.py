"""Training with an evaluation every so many steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import write_atomic
from embodied.checkpoint.lock import Lock
from embodied.core.errors import UserError
from embodied.core.learner import Learner
from embodied.records.progress import say
from embodied.run.config import RunConfig
from embodied.run.loop import Loop
from embodied.run.offline import place_of
from embodied.run.setup import MakeEnv, Setup, check_capacity
from embodied.run.signals import StopFlag
from embodied.run.state import RunState

CONFIG = "config.yaml"


def train_eval(
    learner: Learner,
    make_env: MakeEnv,
    make_eval_env: MakeEnv | None,
    logdirs: Sequence[Path],
    seeds: Sequence[int],
    run: RunConfig,
    batch_size: int,
    batch_length: int,
    root: Path | None = None,
    configs: Sequence[str] = (),
) -> dict[str, Any]:
    """Trains all members, or continues from their last checkpoint, until the end or a signal.

    Args:
      learner: N agents.
      make_env: called with (member, index, seed) for each training environment.
      make_eval_env: likewise for evaluations; None for no evaluation.
      logdirs: one folder for each member; those of a population lie side by side in one folder,
        which commits their checkpoints together.
      seeds: of the members, 0 or more.
      run: see `RunConfig`.
      batch_size: windows B of an update.
      batch_length: steps T of a window.
      root: the folder that commits: the run folder of one member, or the one around those of a
        population, which may have a single member; None for the first of these where there is one
        member, else the second.
      configs: text of each member's `config.yaml`, or none at all. That of a run which continues is
        replaced only when it does.

    Returns:
      `step`, `updates`, `finished`, `signal` (name of the signal that stopped the run, or None)
      and `members`: for each `seed`, `logdir`, `returns` (the last by mode), `frozen` (why, or
      None).

    Raises:
      UserError: when the folder is in use or holds another run, a disk refuses, an environment
        fails, or a loss is no longer finite.
    """
    logdirs = [Path(folder) for folder in logdirs]
    if not len(logdirs) == len(seeds) == learner.size:
        raise ValueError(f"{learner.size} members, {len(seeds)} seeds, {len(logdirs)} folders")
    root = root or (logdirs[0] if len(logdirs) == 1 else logdirs[0].parent)
    if logdirs != [root] and any(folder.parent != root for folder in logdirs):
        raise UserError(f"the folders of a population must lie in one folder, got {logdirs}")
    # What cannot be is said before a folder is anybody's.
    if run.offline:
        if not Checkpoints(root, logdirs).names():
            place_of(run)
    elif not all((folder / CONFIG).exists() for folder in logdirs):
        check_capacity(run, batch_length)
    texts = list(zip(logdirs, configs))
    with StopFlag() as stop:
        setup = Setup(
            learner, make_env, make_eval_env, logdirs, root, seeds, run, batch_size, batch_length,
            lambda: bool(stop),
        )  # fmt: skip
        locks = []
        state = None
        try:
            for folder in dict.fromkeys([setup.root, *logdirs]):
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    locks.append(Lock(folder))
                except OSError as error:
                    raise UserError(f"cannot write to {folder}: {error}") from error
            _write_configs([(f, text) for f, text in texts if not (f / CONFIG).exists()])
            state = RunState(setup)
            state.start()
            _write_configs(texts)
            loop = Loop(setup, state, stop)
            try:
                loop.train()
            finally:
                loop.close()
            return _summary(setup, state, stop)
        finally:
            if state:
                state.close()
            for lock in locks:
                lock.release()


def _write_configs(texts: Sequence[tuple[Path, str]]) -> None:
    for folder, text in texts:
        try:
            write_atomic(folder / CONFIG, text.encode())
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error}") from error


def _summary(setup: Setup, state: RunState, stop: StopFlag) -> dict[str, Any]:
    finished = state.step >= setup.run.steps and not state.pending
    signal = None if finished else stop.name
    if signal:
        say(f"stopped by {signal} at step {state.step:,}; the same command line continues the run")
    members = [
        {
            "seed": member.seed,
            "logdir": str(member.folder),
            "returns": dict(member.returns),
            "frozen": member.frozen,
        }
        for member in state.members
    ]
    return {
        "step": state.step,
        "updates": state.updates,
        "finished": finished,
        "signal": signal,
        "members": members,
    }
