"""Settings of a run; every count says whether it is agent steps, frames or updates."""

from __future__ import annotations

import dataclasses

from embodied.core import ranges
from embodied.core.ranges import Range

MAX_ENVS = 2**16
MAX_PROCESSES = 1024
MAX_TIMEOUT = 1_000_000  # Seconds; the system waits for no longer than 2^31 milliseconds.


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

    steps: int = 100_000
    envs: int = 1
    train_ratio: float = 1024.0
    train_fill: int = 1024
    replay_size: int = 1_000_000
    log_every: int = 500
    report_every: int = 5_000
    eval_every: int = 5_000
    eval_eps: int = 100
    eval_envs: int = 16
    eval_async: bool = False
    save_every: int = 5_000
    keep: int = 2
    video_length: int = 1_000
    env_process: bool = False
    eval_processes: int = 0
    env_timeout: float = 120.0

    def __post_init__(self) -> None:
        counts = ("steps", "train_fill", "replay_size", "log_every", "eval_eps", "save_every")
        optional = ("report_every", "eval_every", "video_length")
        own = {"train_ratio": ranges.NOT_NEGATIVE, "keep": Range(2, ranges.MAX_COUNT)}
        own |= dict.fromkeys(("envs", "eval_envs"), Range(1, MAX_ENVS))
        own |= {"env_timeout": Range(0, MAX_TIMEOUT, above=True)}
        own |= {"eval_processes": Range(-1, MAX_PROCESSES)}
        own |= dict.fromkeys(counts, ranges.COUNT) | dict.fromkeys(optional, ranges.COUNT_OR_NONE)
        ranges.check(self, own, "run.")


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
