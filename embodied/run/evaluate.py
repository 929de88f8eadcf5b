"""Evaluation of a run's newest checkpoint, apart from training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import CorruptFile, decode
from embodied.checkpoint.folders import check_inside
from embodied.checkpoint.parts import Saved
from embodied.core.errors import UserError
from embodied.core.learner import Arrays, Learner
from embodied.records.logger import Logger, say
from embodied.records.run_records import FILES, Records
from embodied.run.config import RunConfig
from embodied.run.evaluation import MakeEnv, evaluate_policy, require
from embodied.run.reporter import evaluation_lines
from embodied.run.schema import check_state


def evaluate(
    learner: Learner,
    make_eval_env: MakeEnv,
    logdirs: Sequence[Path],
    seeds: Sequence[int],
    run: RunConfig,
    folder: str = "eval",
) -> dict[str, Any]:
    """Plays `run.eval_eps` episodes with the newest checkpoint of each member.

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

    Returns:
      `step` of the checkpoint, and `members`: for each `seed`, `logdir` and the means `eval/...`.

    Raises:
      UserError: when there is no checkpoint, or an environment fails.
    """
    logdirs = [Path(logdir) for logdir in logdirs]
    root = logdirs[0] if len(logdirs) == 1 else logdirs[0].parent
    for logdir in logdirs:
        check_inside(logdir, [folder, f"{folder}/videos"])
    found = Checkpoints(root, logdirs).take(_read, say)
    if found is None:
        raise UserError(f"there is no checkpoint in {root}; train first, or check --logdir")
    arrays, step, updates = found
    learner.load(arrays)
    members = list(range(learner.size))
    outcome = evaluate_policy(make_eval_env, learner, None, seeds, members, step, run)
    require(outcome.errors, seeds)
    results = []
    for n, logdir in enumerate(logdirs):
        target = logdir / folder
        target.mkdir(exist_ok=True)
        counts = {"step": step, "frame": step * outcome.repeat, "updates": updates}
        lines, means = evaluation_lines(outcome.episodes[n], counts, seeds[n])
        records = Records(target)
        records.load(dict.fromkeys(FILES, b""), None)
        records.release(lines)
        frames = outcome.frames[n]
        if frames is not None:
            logger = Logger(target, step)
            logger.video("eval/episode", frames, step)
            logger.close()
        results.append({"seed": int(seeds[n]), "logdir": str(logdir), **means})
    return {"step": step, "members": results}


def _read(saved: Sequence[Saved]) -> tuple[list[Arrays], int, int]:
    """Returns the learners' arrays, the step and the updates of a checkpoint."""
    for part in saved:
        check_state(part.state)
        if "learner.safetensors" not in part.files:
            raise CorruptFile("it lacks 'learner.safetensors'")
    paths = [part.files["learner.safetensors"] for part in saved]
    arrays = [decode(path.read_bytes(), path) for path in paths]
    return arrays, saved[0].state["step"], saved[0].state["updates"]
