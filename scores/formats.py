"""Score files: upstream's `scores.json.gz`, HarmonyDream's `{steps, score}`, CSV."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scores import games
from scores.read import MAX_POINTS, MAX_RUNS, BadFile, read_json, read_text
from scores.records import (
    UNKNOWN,
    Problem,
    Run,
    Series,
    evaluations,
    printable,
    problems_of,
    series,
)

EXPECTED = (
    "expected upstream's list of {task, method, seed, xs, ys}, "
    "HarmonyDream's {steps, score: {game: [seed][step]}}, or a CSV with a header"
)


def read_file(path: Path) -> tuple[list[Run], list[Problem]]:
    """Reads one score file of any of the formats.

    Args:
      path: `*.json`, `*.json.gz` or `*.csv` (also `*.csv.gz`).

    Returns:
      The runs that could be read and what was wrong with the rest.
    """
    reasons: list[str] = []

    def report(reason: str) -> None:
        if len(reasons) < MAX_RUNS:
            reasons.append(reason)

    runs: list[Run] = []
    try:
        if ".csv" in path.suffixes:
            runs = _csv(path, report)
        else:
            content = read_json(path)
            if isinstance(content, list):
                runs = _upstream(content, path, report)
            elif isinstance(content, dict) and {"steps", "score"} <= set(content):
                runs = _harmonydream(content, path, report)
            else:
                raise BadFile(f"unknown format; {EXPECTED}")
        if not runs and not reasons:
            raise BadFile("holds no scores")
    except BadFile as error:
        report(str(error))
    return runs, problems_of(path, reasons)


def seed_of(value: Any) -> int | str:
    """Returns a seed as an integer where it is one ('3' and 3.0 are 3), else as text."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    return int(number) if number.is_integer() else printable(str(value))


def stem(path: Path) -> str:
    """Returns a file's name without its endings: `scores/dreamerv3.json.gz` -> `dreamerv3`."""
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def _points(
    x: Any, y: Any, where: str, report: Callable[[str], None], episodes: int = UNKNOWN
) -> Series | None:
    """Makes a series or reports why there is none; `where` names the run in the report."""
    if not isinstance(x, list) or not isinstance(y, list):
        report(f"{where}: steps and scores must be lists")
        return None
    try:
        made, complaint = series(x, y, episodes)
    except ValueError as error:
        report(f"{where}: {error}")
        return None
    if complaint:
        report(f"{where}: {complaint}")
    return made


def _upstream(content: list, path: Path, report: Callable[[str], None]) -> list[Run]:
    """Reads upstream's list of runs; their scores are training episodes, or bins of them.

    NaN in a binned file means a bin without an episode, which is left out and reported.
    """
    runs, empty = [], 0
    for number, entry in enumerate(_first(content, report)):
        if not isinstance(entry, dict) or not {"task", "xs", "ys"} <= set(entry):
            report(f"run {number} is no {{task, method, seed, xs, ys}}")
            continue
        method, seed = str(entry.get("method", stem(path))), seed_of(entry.get("seed", 0))
        where = f"{entry['task']} seed {seed}"
        x, y = entry["xs"], entry["ys"]
        if _binned(x) and isinstance(y, list) and len(x) == len(y):
            kept = [(a, b) for a, b in zip(x, y) if b is not None and b == b]
            empty += len(x) - len(kept)
            points = _points([a for a, _ in kept], [b for _, b in kept], where, report)
        else:
            points = _points(x, y, where, report, episodes=1)
        if points is not None:
            game = games.normalise(str(entry["task"]))
            runs.append(Run(method, game, seed, str(path), trains=points))
    if empty:
        report(f"{empty} bins are NaN (no episode ended in them), left out")
    return runs


def _binned(x: Any) -> bool:
    """Returns whether steps are bins: all multiples of 1,000 frames, as no episode ends are."""
    try:
        return len(x) > 1 and bool((np.asarray(x, np.float64) % 1000 == 0).all())
    except (TypeError, ValueError, OverflowError):
        return False


def _harmonydream(content: dict, path: Path, report: Callable[[str], None]) -> list[Run]:
    """Reads `{steps, score: {game: [seed][step]}}`: one evaluation for each step."""
    if not isinstance(content["score"], dict):
        raise BadFile(f"'score' is no object of games; {EXPECTED}")
    curves = []
    for name, seeds in _first(list(content["score"].items()), report):
        if isinstance(seeds, list):
            curves += [(name, seed, curve) for seed, curve in enumerate(seeds[:MAX_RUNS])]
        else:
            report(f"{name}: expected a list with one curve for each seed")
    runs = []
    for name, seed, curve in _first(curves, report):
        points = _points(content["steps"], curve, f"{name} seed {seed}", report)
        if points is not None:
            runs.append(Run(stem(path), games.normalise(name), seed, str(path), evals=points))
    return runs


def _first(entries: list, report: Callable[[str], None]) -> list:
    """Returns as many entries as a score file may have, and reports the rest."""
    if len(entries) > MAX_RUNS:
        report(f"{len(entries)} entries, used are the first {MAX_RUNS}")
    return entries[:MAX_RUNS]


def _csv(path: Path, report: Callable[[str], None]) -> list[Run]:
    """Reads CSV with the columns game (or task) and score (or return).

    Optional: method (else the file's name), seed (else 0), frame (else the benchmark's budget),
    mode ('eval', the default, or 'train'), episodes (behind the score).
    """
    reader = csv.DictReader(io.StringIO(read_text(path)))
    try:
        header = {name.strip().lower(): name for name in reader.fieldnames or [] if name}
    except csv.Error as error:
        raise BadFile(f"not CSV ({error})") from error
    game_key = header.get("game") or header.get("task")
    score_key = header.get("score") or header.get("return")
    if game_key is None or score_key is None:
        raise BadFile(f"a CSV needs the columns game and score; it has {', '.join(header)}")
    found: dict[tuple, list[tuple]] = defaultdict(list)

    def cell(row: dict, name: str, default: Any) -> Any:
        return row.get(header.get(name, "")) or default

    try:
        for number, row in enumerate(reader, start=2):
            if number > MAX_POINTS:
                raise BadFile(f"more than {MAX_POINTS} rows; the rest is left out")
            mode = cell(row, "mode", "eval")
            if mode not in ("eval", "train") or not row[game_key]:
                report(f"line {number}: needs a game, and mode eval or train")
                continue
            game, seed = games.normalise(row[game_key]), seed_of(cell(row, "seed", 0))
            try:
                point = (
                    float(cell(row, "frame", games.budget())),
                    float(row[score_key] or "nan"),
                    np.int64(int(cell(row, "episodes", UNKNOWN))),
                )
            except (TypeError, ValueError, OverflowError) as error:
                report(f"line {number}: {error}")
                continue
            found[cell(row, "method", stem(path)), game, seed, mode].append(point)
    except (csv.Error, BadFile) as error:
        report(str(error))
    return _runs_of_rows(found, path, report)


def _runs_of_rows(
    found: dict[tuple, list[tuple]], path: Path, report: Callable[[str], None]
) -> list[Run]:
    runs: dict[tuple, dict[str, Series]] = defaultdict(dict)
    for (method, game, seed, mode), rows in found.items():
        made, complaint = series(*map(list, zip(*rows)))
        if complaint:
            report(f"{game} seed {seed}: {complaint}")
        if mode == "eval":
            runs[method, game, seed]["evals"] = evaluations(made)
        else:
            runs[method, game, seed]["trains"] = made
    return [
        Run(method, game, seed, str(path), **kinds) for (method, game, seed), kinds in runs.items()
    ]
