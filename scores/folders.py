"""Run folders: ours (`episodes.jsonl`) and upstream's (`scores.jsonl` or `metrics.jsonl`)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scores import games
from scores.formats import seed_of
from scores.read import MAX_POINTS, BadFile, read_jsonl
from scores.records import UNKNOWN, Problem, Run, Series, evaluations, problems_of, series

RECORDS = ("episodes.jsonl", "scores.jsonl", "metrics.jsonl")
HEAVY = {"checkpoints", "replay", "eval_replay", "videos", "ckpt", "__pycache__"}
MAX_CONFIG = 2**18


def find_runs(root: Path) -> Iterator[Path]:
    """Yields every folder at or below `root` that holds a run, in order of path."""
    for folder, below, files in os.walk(root):
        below[:] = sorted(name for name in below if name not in HEAVY and name[0] != ".")
        seeds = any(name.startswith("seed-") for name in below)
        if set(RECORDS) & set(files) or ("config.yaml" in files and not seeds):
            yield Path(folder)


def read_folder(path: Path) -> tuple[list[Run], list[Problem]]:
    """Reads one run folder.

    Args:
      path: folder with `config.yaml` (task, seed, method) and one of `RECORDS`. A folder
        `seed-<s>` without a config of its own takes its parent's.

    Returns:
      One run, or none, and what was wrong.
    """
    record = next((path / name for name in RECORDS if _filled(path / name)), None)
    if record is None:
        return [], [Problem(str(path), f"no scores yet: none of {', '.join(RECORDS)}")]
    config = identity(path)
    if "task" not in config:
        return [], [Problem(str(path), "no task: config.yaml is missing or has no key 'task'")]
    read = _episodes if record.name == "episodes.jsonl" else _upstream
    (evals, trains), complaints = read(record)
    problems = problems_of(record, complaints)
    if not len(evals) and not len(trains):
        return [], [*problems, Problem(str(record), "holds no score")]
    seed = re.fullmatch(r"seed-(\d+)", path.name)
    run = Run(
        config.get("method") or path.name,
        games.normalise(config["task"]),
        seed_of(seed.group(1) if seed else config.get("seed", "0")),
        str(path),
        evals,
        trains,
    )
    return [run], problems


def identity(path: Path) -> dict[str, str]:
    """Returns the keys task, seed and method of a run folder's config, as far as present."""
    file = config_file(path)
    if not file.is_file():  # A pipe would never end.
        return {}
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            text = stream.read(MAX_CONFIG)
    except OSError:
        return {}
    # Three top-level scalars: parsing the whole YAML costs 50 ms a run, in a sweep of 260.
    found = re.findall(r"^(task|seed|method):[ \t]*(.*?)[ \t]*(?:\s#.*)?$", text, re.MULTILINE)
    return {key: value.strip("'\"") for key, value in found if value}


def config_file(path: Path) -> Path:
    """Returns where a run folder's config is: in it, or, for `seed-<s>`, in its parent."""
    own = path / "config.yaml"
    above = path.parent / "config.yaml"
    return above if path.name.startswith("seed-") and not own.exists() else own


def _filled(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


class _Points:
    """Collects the points of one kind; what a record lacks or has wrong is counted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.frames: list[Any] = []
        self.scores: list[Any] = []

    def add(self, frame: Any, score: Any) -> None:
        if len(self.frames) >= MAX_POINTS:
            raise BadFile(f"more than {MAX_POINTS} points; the rest is left out")
        self.frames.append(frame)
        self.scores.append(score)

    def series(self, complaints: list[str], episodes: int) -> Series:
        made, complaint = series(self.frames, self.scores, episodes)
        if complaint:
            complaints.append(f"{self.name}: {complaint}")
        return made


def _episodes(file: Path) -> tuple[tuple[Series, Series], list[str]]:
    """Reads our record of episodes; the episodes of one evaluation share their frame."""
    kinds = {"eval": _Points("evaluation"), "train": _Points("training")}
    complaints: list[str] = []
    try:
        for record in read_jsonl(file, needle=b'"return"'):
            if isinstance(record, BadFile):
                complaints.append(str(record))
            elif record.get("mode") in kinds:
                kinds[record["mode"]].add(record.get("frame"), record.get("return"))
    except BadFile as error:
        complaints.append(str(error))
    evals = evaluations(kinds["eval"].series(complaints, episodes=1))
    return (evals, kinds["train"].series(complaints, episodes=1)), complaints


def _upstream(file: Path) -> tuple[tuple[Series, Series], list[str]]:
    """Reads upstream's log: steps are frames; an evaluation is logged as one number."""
    evals, trains = _Points("evaluation"), _Points("training")
    complaints: list[str] = []
    try:
        for record in read_jsonl(file, needle=b'episode/score"'):
            if isinstance(record, BadFile):
                complaints.append(str(record))
                continue
            for key, points in (("eval_episode/score", evals), ("episode/score", trains)):
                if key in record:
                    points.add(record.get("step"), record[key])
    except BadFile as error:
        complaints.append(str(error))
    mean = evaluations(evals.series(complaints, episodes=UNKNOWN))
    return (mean, trains.series(complaints, episodes=1)), complaints
