"""Settings of a run; every count says whether it is agent steps, frames or updates."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from embodied.core import ranges
from embodied.core.ranges import Note, Range

MAX_ENVS = 2**16
MAX_PROCESSES = 1024
MAX_TIMEOUT = 1_000_000  # Seconds; the system waits for no longer than 2^31 milliseconds.
ENVS = Range(1, MAX_ENVS)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The config block `run`.

    An agent step is one action in one environment; with several environments all their actions
    count. Frames are agent steps times the environment's action repeat.

    Args:
      steps: length of the run in agent steps.
      envs: training environments of each seed.
      train_ratio: replayed steps for each agent step; updates come every
        batch_size * batch_length / train_ratio agent steps.
      train_fill: windows in the replay before training starts; actions are random until then.
      replay_size: transitions kept in the replay of each seed, in agent steps.
      log_every: agent steps between lines of metrics.jsonl.
      report_every: agent steps between heavy reports (videos, histograms); 0 for none.
      eval_every: agent steps between evaluations; 0 for none.
      eval_eps: episodes of an evaluation, over all its environments.
      eval_envs: environments that an evaluation steps side by side.
      eval_async: evaluate in the background while training goes on; the records are the same.
      save_every: agent steps between checkpoints.
      keep: number of checkpoints kept.
      video_length: agent steps in the video of an evaluation; 0 for none.
      env_process: run every training environment in a process of its own, restarted when it
        crashes or hangs.
      eval_processes: processes that share the environments of an evaluation, at least one for
        each seed, restarted likewise with all that they hold; 0: none but this one; -1: as many
        as there are processors for it beside its own, at most 16. The records are the same as
        long as none is restarted.
      env_timeout: seconds after which an environment in a process counts as hung.
    """

    steps: Annotated[int, ranges.COUNT, Note("agent steps")] = 100_000
    envs: Annotated[int, ENVS] = 1
    train_ratio: Annotated[float, ranges.NOT_NEGATIVE] = 1024.0
    train_fill: Annotated[int, ranges.COUNT, Note("windows")] = 1024
    replay_size: Annotated[int, ranges.COUNT, Note("agent steps")] = 1_000_000
    log_every: Annotated[int, ranges.COUNT, Note("agent steps")] = 500
    report_every: Annotated[int, ranges.COUNT_OR_NONE, Note("agent steps")] = 5_000
    eval_every: Annotated[int, ranges.COUNT_OR_NONE, Note("agent steps")] = 5_000
    eval_eps: Annotated[int, ranges.COUNT, Note("episodes")] = 10
    eval_envs: Annotated[int, ENVS] = 10
    eval_async: bool = False
    save_every: Annotated[int, ranges.COUNT, Note("agent steps")] = 5_000
    keep: Annotated[int, Range(2, ranges.MAX_COUNT)] = 2
    video_length: Annotated[int, ranges.COUNT_OR_NONE, Note("agent steps")] = 1_000
    env_process: bool = False
    eval_processes: Annotated[int, Range(-1, MAX_PROCESSES)] = 0
    env_timeout: Annotated[float, Range(0, MAX_TIMEOUT, above=True), Note("seconds")] = 120.0

    def __post_init__(self) -> None:
        ranges.check_fields(self, "run.")


def fill_step(run: RunConfig, batch_length: int) -> int:
    """Returns the agent step at which `train_fill` windows of `batch_length` steps first exist.

    A stream of n transitions has n - batch_length + 1 windows, and all streams grow together.
    """
    return run.envs * (-(-run.train_fill // run.envs) + batch_length - 1)


def updates_due(step: int, run: RunConfig, batch_size: int, batch_length: int) -> int:
    """Returns how many updates there are once `step` agent steps are stored.

    Args:
      step: agent steps stored.
      run: see `RunConfig`.
      batch_size: windows B in a batch.
      batch_length: steps T in a window.
    """
    trained = max(0, step - fill_step(run, batch_length))
    return int(trained * run.train_ratio // (batch_size * batch_length))


def crossed(step: int, every: int, envs: int) -> bool:
    """Returns whether a multiple of `every` is in (step - envs, step]; never at step 0."""
    return every > 0 and step > 0 and step // every > (step - envs) // every
