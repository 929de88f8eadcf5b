"""What a job has reached, from its run folders alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from embodied.checkpoint.manifest import unseal
from embodied.core.errors import UserError
from embodied.records.lines import read_lines
from sweeps.plan import Job

_TAIL = 2**18  # Bytes of metrics.jsonl in which the last evaluation is looked for.


@dataclasses.dataclass(frozen=True)
class Saved:
    """What the newest checkpoints of a job hold."""

    step: int  # agent step of the checkpoint; -1 where there is none
    done: bool  # whether the job is finished
    frozen: dict[int, str]  # seeds that take no further part, with the reasons


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a job is and how fast."""

    step: int = 0  # agent steps of each seed
    # Agent steps a second of each seed, over all the time that it ran; 0 if not known.
    rate: float = 0.0
    updates_rate: float = 0.0  # updates a second of each seed, lately
    time: float = 0.0  # when that was last recorded, in seconds since 1970
    # Mean return of the last evaluation, over seeds; None before the first.
    returns: float | None = None
    repeat: int = 0  # frames for each agent step; 0 if not known


def saved(job: Job, root: Path) -> Saved:
    """Looks into the newest checkpoint's manifests; the files they name are not verified."""
    folder = root / job.folder / "checkpoints"
    names = folder.glob("*.json") if job.population else folder.glob("*/manifest.json")
    checkpoints = sorted((p.stem if job.population else p.parent.name for p in names), reverse=True)
    for name in checkpoints:
        try:
            paths = [run / "checkpoints" / name / "manifest.json" for run in job.runs(root)]
            states = [unseal(path, {"state": dict})["state"] for path in paths]
            frozen = {
                seed: str(state["frozen"])
                for seed, state in zip(job.seeds, states)
                if state["frozen"]
            }
            going = [state for state in states if not state["frozen"]] or states
            step = min(int(state["step"]) for state in going)
            pending = any(state["pending"] for state in going)
            return Saved(step, step >= job.steps and not pending, frozen)
        except (OSError, UserError, KeyError, TypeError, ValueError):
            continue  # Being replaced at this moment, or damaged: an older one will do.
    return Saved(-1, False, {})


def measure(job: Job, root: Path) -> Progress:
    """Reads the records of a job's seeds."""
    runs = job.runs(root)
    # Frozen seeds write no more, the others write alike.
    lines = max(
        (read_lines(run / "timing.jsonl") for run in runs),
        key=lambda lines: int(lines[-1].get("step", 0)) if lines else -1,
    )
    steps = seconds = 0.0
    for line in lines:
        total = float(line.get("seconds/total") or 0)
        steps += float(line.get("steps_per_second") or 0) * total
        seconds += total
    last = lines[-1] if lines else {}
    evaluations = list(filter(None, map(_evaluation, runs)))
    means = [line["eval/return"] for line in evaluations if line["eval/return"] is not None]
    counts = [line for line in evaluations if line.get("step")]
    return Progress(
        step=int(last.get("step", 0)),
        rate=steps / seconds if seconds else 0.0,
        updates_rate=float(last.get("updates_per_second") or 0),
        time=float(last.get("time") or 0),
        returns=sum(means) / len(means) if means else None,
        repeat=round(counts[-1]["frame"] / counts[-1]["step"]) if counts else 0,
    )


def _evaluation(run: Path) -> dict[str, Any] | None:
    """Returns the last line of metrics.jsonl with an evaluation."""
    lines = read_lines(run / "metrics.jsonl", _TAIL, needle=b'"eval/return"')
    return lines[-1] if lines else None
