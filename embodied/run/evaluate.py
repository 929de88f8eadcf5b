"""Evaluation of a run's newest checkpoint, apart from training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import CorruptFile, decode
from embodied.checkpoint.folders import check_inside
from embodied.checkpoint.manifest import STEP, Saved
from embodied.core.errors import UserError
from embodied.core.learner import Arrays, Learner
from embodied.records.logger import Logger
from embodied.records.progress import say
from embodied.records.run_records import FILES, Records
from embodied.run.config import RunConfig
from embodied.run.evaluation import evaluate_policy
from embodied.run.member_state import MemberState
from embodied.run.reporter import evaluation_lines, limit_note
from embodied.run.setup import MakeEnv, require
from embodied.run.signals import StopFlag


def evaluate(
    learner: Learner,
    make_eval_env: MakeEnv,
    logdirs: Sequence[Path],
    seeds: Sequence[int],
    run: RunConfig,
    folder: str = "eval",
    checkpoint: int | None = None,
) -> dict[str, Any]:
    """Plays `run.eval_eps` episodes with a checkpoint of each member, the newest unless given.

    With the settings of the training run it gives the same episodes as the evaluation which that
    run made at this step. The run folder is only read; results go to a folder inside it.

    Args:
      learner: N agents of the run's kind.
      make_eval_env: called with (member, index, seed) for each environment.
      logdirs: one run folder for each member.
      seeds: of the members.
      run: see `RunConfig`.
      folder: name of the folder for `episodes.jsonl`, `metrics.jsonl` and the video; what it held
        is replaced.
      checkpoint: agent step of another checkpoint than the newest.

    Returns:
      `step` of the checkpoint, `cut` (name of the signal that ended it early, or None; its lines
      then say `"cut": true`), and `members`: for each `seed`, `logdir`, the path of the `video` or
      None, and the means `eval/...`.

    Raises:
      UserError: when there is no checkpoint, or an environment fails.
    """
    logdirs = [Path(logdir) for logdir in logdirs]
    root = logdirs[0] if len(logdirs) == 1 else logdirs[0].parent
    for logdir in logdirs:
        check_inside(logdir, [folder, f"{folder}/videos"])
    only = STEP if checkpoint is None else rf"{checkpoint:012d}(-\d\d)?"
    taken = Checkpoints(root, logdirs, only=only).take(_read, say)
    if taken is None:
        there = {int(name[:12]) for name in Checkpoints(root, logdirs).names()}
        if there:
            raise UserError(
                f"there is no checkpoint of step {checkpoint} in {root}, only of "
                f"{', '.join(map(str, sorted(there)))}"
            )
        raise UserError(f"there is no checkpoint in {root}; train first, or check --logdir")
    arrays, step, updates = taken
    learner.load(arrays)
    members = list(range(learner.size))
    with StopFlag() as stop:
        outcome = evaluate_policy(
            make_eval_env, learner, None, seeds, members, step, run, lambda: bool(stop)
        )
    require(outcome.errors, seeds)
    if outcome.limited:
        say(limit_note(run))
    results = []
    for n, logdir in enumerate(logdirs):
        target = logdir / folder
        target.mkdir(exist_ok=True)
        counts = {"step": step, "frame": step * outcome.repeat, "updates": updates}
        lines, means = evaluation_lines(outcome.episodes[n], counts, seeds[n])
        if outcome.cut:  # Short episodes end first, so these are no fair sample.
            lines = [(name, {**values, "cut": True}) for name, values in lines]
        records = Records(target)
        records.load(dict.fromkeys(FILES, b""), None)
        records.release(lines)
        frames, video = outcome.frames[n], None
        if frames is not None:
            logger = Logger(target, step)
            video = logger.video("eval/episode", frames, step)
            logger.close()
        results.append({"seed": int(seeds[n]), "logdir": str(logdir), "video": video, **means})
    return {"step": step, "cut": stop.name if outcome.cut else None, "members": results}


def _read(saved: Sequence[Saved]) -> tuple[list[Arrays], int, int]:
    """Returns the learners' arrays, the step and the updates of a checkpoint."""
    states = [MemberState.from_plain(part.state) for part in saved]
    if any("learner.safetensors" not in part.files for part in saved):
        raise CorruptFile("it lacks 'learner.safetensors'")
    paths = [part.files["learner.safetensors"] for part in saved]
    arrays = [decode(path.read_bytes(), path) for path in paths]
    return arrays, states[0].step, states[0].updates
