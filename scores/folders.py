"""Run folders: ours (`episodes.jsonl`) and the logs of other code (JSON lines, TensorBoard)."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scores import names
from scores.configs import settings
from scores.formats import seed_of
from scores.names import normalise
from scores.read import MAX_POINTS, BadFile, read_events, read_jsonl
from scores.reading import NOTHING, Reading
from scores.records import (
    EMPTY,
    MAX_VALUE,
    UNKNOWN,
    Problem,
    Run,
    Series,
    evaluations,
    problems_of,
    series,
)  # fmt: skip

RECORDS = ("episodes.jsonl", "scores.jsonl", "metrics.jsonl")
EVENTS = "events.out.tfevents."
HEAVY = {"checkpoints", "replay", "eval_replay", "videos", "ckpt", "__pycache__"}
# What the environment suite of Atari 100K is set to; with other values it is another benchmark.
ATARI = {
    "repeat": ("4",),
    "sticky": ("0.0", "0", "false"),
    "actions": ("minimal", "needed"),
    "lives": ("unused",),
}


def find_runs(root: Path) -> Iterator[Path]:
    """Yields every folder at or below `root` that holds a run, in order of path.

    What the verb `eval` leaves in a run's folder `eval` belongs to that run and is none itself.
    """
    for folder, below, files in os.walk(root):
        seeds = any(name.startswith("seed-") for name in below)
        has_records = bool(set(RECORDS) & set(files)) or any(f.startswith(EVENTS) for f in files)
        run = has_records or ("config.yaml" in files and not seeds)
        heavy = HEAVY | {"eval"} if run else HEAVY
        below[:] = sorted(name for name in below if name not in heavy and name[0] != ".")
        if run:
            yield Path(folder)


def read_folder(path: Path, reading: Reading = NOTHING) -> tuple[list[Run], list[Problem]]:
    """Reads one run folder.

    Args:
      path: folder with a config (task, seed, label; see `configs.config_file`) and `RECORDS` or
        files of TensorBoard events; or one of these files.
      reading: what the files do not say.

    Returns:
      One run, or none, and what was wrong.
    """
    folder = path if path.is_dir() else path.parent
    logs = [path] if path != folder else _logs(folder)
    if not logs:
        return [], [Problem(str(folder), f"no scores yet: none of {', '.join(RECORDS)}")]
    config = settings(folder)
    task = config.get("task") or config.get("env.task") or config.get("env.id")
    if config.get("env.name") and config.get("env.task"):  # TorchRL's {name: cheetah, task: run}
        pair = f"{config['env.name']}_{config['env.task']}"
        task = pair if names.is_known(pair) else task
    if not task:
        return [], [Problem(str(folder), "no task: config.yaml is missing or has no key 'task'")]
    seed = re.fullmatch(r"seed-(\d+)", folder.name)
    blank = Run(
        config.get("label") or config.get("method") or folder.name,
        _game(task, config),
        seed_of(seed.group(1) if seed else config.get("seed", "0")),
        str(folder),
    )
    complaints: dict[str, None] = {}
    try:
        if logs[0].name == RECORDS[0]:
            run = _episodes(logs[0], blank, config, complaints)
        else:
            run = _log(logs, blank, reading, complaints)
    except BadFile as error:
        run = blank
        complaints[str(error)] = None
    return [run] if len(run.curve) else [], problems_of(logs[0], list(complaints))


def _logs(folder: Path) -> list[Path]:
    for name in RECORDS:
        if (folder / name).is_file() and (folder / name).stat().st_size:
            return [folder / name]
    return sorted(file for file in folder.glob(f"{EVENTS}*") if file.is_file())


def _game(task: str, config: Mapping[str, str]) -> str:
    """Returns a task's canonical name, with the settings that make it another benchmark."""
    game = normalise(task)
    suite = task.partition("_")[0]
    if not suite.startswith("atari"):
        return game
    foreign = []
    for key, usual in ATARI.items():
        value = config.get(f"env.{suite}.{key}", usual[0])
        if value.lower() not in usual:
            foreign.append(f"{key} {value}")
    return f"{game} ({', '.join(foreign)})" if foreign else game


Points = dict[str, tuple[list, list]]  # of each kind or key: frames or steps, and scores


def _collect(points: Points, key: str, frame: Any, score: Any) -> None:
    frames, scores = points.setdefault(key, ([], []))
    if len(frames) >= MAX_POINTS:
        raise BadFile(f"more than {MAX_POINTS} points; the rest is left out")
    frames.append(frame)
    scores.append(score)


def _curve(
    points: Points, key: str, name: str, episodes: int, factor: float, faults: dict[str, None]
) -> Series:
    """Makes the curve of a key, steps times `factor`; what is wrong with it is told."""
    curve, complaint = series(*points.get(key, ([], [])), episodes)
    if complaint:
        faults[f"{name}: {complaint}"] = None
    return dataclasses.replace(curve, frames=curve.frames * factor)


def _episodes(file: Path, run: Run, config: Mapping[str, str], faults: dict[str, None]) -> Run:
    """Reads our record of episodes; the episodes of one evaluation share their frame."""
    points: Points = {}
    repeat = 0.0  # frames for each agent step
    try:
        for record in read_jsonl(file, '"return"'):
            if isinstance(record, BadFile):
                faults[str(record)] = None
            elif record.get("mode") in ("eval", "train"):
                frame: Any = record.get("frame")
                step: Any = record.get("step")
                _collect(points, record["mode"], frame, record.get("return"))
                if _positive(frame) and _positive(step):
                    repeat = frame / step
    except BadFile as error:
        faults[str(error)] = None
    if not points:
        faults["holds no score"] = None
    # An environment that repeats actions inside plays more frames than `env.gym.repeat` says.
    inside = _number(config.get("env.gym.kwargs.frameskip")) or names.frameskip(run.game)
    factor = inside * (_number(config.get("env.gym.repeat")) or 1) / repeat if repeat else 1.0
    factor = factor if inside > 1 else 1.0
    return dataclasses.replace(
        run,
        evals=evaluations(_curve(points, "eval", "evaluation", 1, factor, faults)),
        trains=_curve(points, "train", "training", 1, factor, faults),
        length=_number(config.get("run.steps")) * repeat * factor,
        overshoot=_number(config.get("run.envs")) * repeat * factor,
    )


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value <= MAX_VALUE


def _number(text: str | None) -> float:
    try:
        return min(float(text or 0), MAX_VALUE)
    except ValueError:
        return 0.0


def _log(logs: list[Path], run: Run, reading: Reading, faults: dict[str, None]) -> Run:
    """Reads a log: records of a step and scalars. An evaluation is logged as one number.

    The usual names of the scalars, and whether such logs count frames, are in data/names.json.
    """
    kinds = {
        key: (unit, kind)
        for unit, usual in names.data("names")["logs"].items()
        for kind, keys in usual.items()
        for key in keys
    }
    points: Points = {}
    pattern = "|".join(re.escape(f'"{key}"') for key in kinds)
    for file in logs:
        events = file.name.startswith(EVENTS)
        for record in read_events(file) if events else read_jsonl(file, pattern):
            if isinstance(record, BadFile):
                faults[str(record)] = None
                continue
            for key in kinds.keys() & record.keys():
                _collect(points, key, record.get("step"), record[key])
    if not points:
        raise BadFile(f"holds no score; known are {', '.join(kinds)}")
    curves = {"eval": EMPTY, "train": EMPTY}
    for key in (key for key in kinds if key in points):  # the first of a kind counts
        unit, kind = kinds[key]
        if not len(curves[kind]):
            single = kind == "train" and unit == "frames"  # others log means of episodes
            factor = reading.factor(unit, run.game, f"steps of {key}", faults.setdefault)
            curves[kind] = _curve(points, key, key, 1 if single else UNKNOWN, factor, faults)
    evals, trains = evaluations(curves["eval"]), curves["train"]
    if len(evals) == 1 and not evals.frames[0] and len(trains):
        # SheepRL logs its one test, after training, at step 0.
        evals = dataclasses.replace(evals, frames=trains.frames[-1:])
    return dataclasses.replace(run, evals=evals, trains=trains)
