"""Settings of a run; every count says whether it is agent steps, frames or updates."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from embodied.core import ranges
from embodied.core.errors import UserError, nearest
from embodied.core.ranges import Note, Range
from embodied.records.tracker import KINDS
from embodied.replay.sampling import Sampling

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
      train_fill: windows in the replay before training starts; with `replay_episodes` agent steps,
        and one finished episode.
      random_fill: actions are random until training starts; False: the policy's.
      pretrain: updates at the moment when training starts, before those of `train_ratio`.
      consec_train: updates that train on one long window, piece after piece.
      replay_context: steps C before each window whose stored latents begin it; 0 begins windows
        with an empty state.
      replay_online: every new window is trained on once, before windows of any age.
      replay_episodes: windows come from one finished episode each, drawn without regard to length.
      replay_ends: with `replay_episodes`, the last window of an episode comes more often.
      replay_minlen: with `replay_episodes`, steps of the shortest episode used; shorter ones than a
        window are joined. 0: those of a window.
      episode_limit: agent steps after which an episode is cut, in training and evaluation, as by a
        time limit; 0 for none.
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
      offline: folder of a run whose replay is trained on as it is; no environment is stepped but in
        evaluations. Agent steps then only count the updates that an online run would have made.
      tracker: none, wandb or trackio: where scalars go beside TensorBoard.
    """

    steps: Annotated[int, ranges.COUNT, Note("agent steps")] = 100_000
    envs: Annotated[int, ENVS] = 1
    train_ratio: Annotated[float, ranges.NOT_NEGATIVE] = 1024.0
    train_fill: Annotated[int, ranges.COUNT, Note("windows")] = 1024
    random_fill: bool = True
    pretrain: Annotated[int, ranges.COUNT_OR_NONE, Note("updates")] = 0
    consec_train: Annotated[int, ranges.COUNT, Note("updates")] = 1
    replay_context: Annotated[int, ranges.COUNT_OR_NONE, Note("agent steps")] = 0
    replay_online: bool = False
    replay_episodes: bool = False
    replay_ends: bool = False
    replay_minlen: Annotated[int, ranges.COUNT_OR_NONE, Note("agent steps")] = 0
    episode_limit: Annotated[int, ranges.COUNT_OR_NONE, Note("agent steps")] = 27_000
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
    offline: str = ""
    tracker: str = "none"

    def __post_init__(self) -> None:
        ranges.check_fields(self, "run.")
        if self.tracker not in KINDS:
            raise UserError(
                f"run.tracker: expected one of {', '.join(KINDS)}, got {self.tracker!r}"
                f"{nearest(self.tracker, KINDS)}"
            )


def sampling(run: RunConfig, batch_length: int) -> Sampling:
    """Returns what windows of `batch_length` trained steps are."""
    return Sampling(
        batch_length,
        run.replay_context,
        run.consec_train,
        run.replay_online,
        run.replay_episodes,
        run.replay_ends,
        run.replay_minlen,
    )


def fill_step(run: RunConfig, batch_length: int) -> int:
    """Returns the agent step at which `train_fill` windows first exist.

    A stream of n transitions has n - L + 1 windows of L steps, and all streams grow together. With
    `replay_episodes` it is `train_fill` itself, though an episode must have ended, too.
    """
    each = -(-run.train_fill // run.envs)
    return run.envs * (each if run.replay_episodes else each + sampling(run, batch_length).item - 1)


def updates_due(step: int, start: int | None, run: RunConfig, batch_size: int, length: int) -> int:
    """Returns how many updates there are once `step` agent steps are stored.

    Args:
      step: agent steps stored.
      start: agent step at which training started; None while it has not.
      run: see `RunConfig`.
      batch_size: windows B in a batch.
      length: steps T that an update trains on in each of them.
    """
    if start is None:
        return 0
    return run.pretrain + int((step - start) * run.train_ratio // (batch_size * length))


def crossed(step: int, every: int, envs: int) -> bool:
    """Returns whether a multiple of `every` is in (step - envs, step]; never at step 0."""
    return every > 0 and step > 0 and step // every > (step - envs) // every
