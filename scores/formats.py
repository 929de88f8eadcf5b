"""Score files as people exchange them: JSON of several shapes, and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scores import games, names
from scores.names import normalise
from scores.read import MAX_POINTS, MAX_RUNS, BadFile, read_json, read_text
from scores.records import (
    EMPTY,
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
    "expected upstream's list of {task, method, seed, xs, ys}, HarmonyDream's {steps, score: "
    "{game: [seed][step]}}, {game: [one score a seed]}, or rows of game, seed, score as CSV or JSON"
)
STEPS = (
    "frames or agent steps? Say --frames-per-step 1 if they are frames, 4 if they are agent steps "
    "of Atari"
)
LISTS = (
    "episodes of one evaluation, or a curve over training? Say --lists episodes for their mean, "
    "--lists curve for the last one"
)
Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a file does not say by itself.

    Attributes:
      frames_per_step: frames of one step where a file counts steps; None: not known.
      lists: 'episodes' or 'curve', what a list of numbers for each seed is; None: not known.
    """

    frames_per_step: float | None = None
    lists: str | None = None

    def factor(self, unit: str, game: str, where: str, report: Report) -> float:
        """Returns the frames of one step.

        Args:
          unit: 'frames', 'agent_steps', or 'steps' for either.
          game: canonical name. Where no benchmark sets a budget in frames, steps may stay steps.
          where: the column or key, for the message.
          report: told when steps are taken for frames though they may be others.

        Raises:
          BadFile: the score depends on it and nothing tells.
        """
        if unit == "frames":
            return 1.0
        if self.frames_per_step:
            return self.frames_per_step
        atari = game in games.atari100k() or game.startswith("atari_")
        if unit == "agent_steps" and atari:
            return 4.0
        if game in games.atari100k():
            raise BadFile(f"{where}: {STEPS}")
        report(f"{where}: taken for frames; --frames-per-step N if one is N frames")
        return 1.0


def read_file(path: Path, reading: Reading = Reading()) -> tuple[list[Run], list[Problem]]:
    """Reads one score file of any of the formats.

    Args:
      path: `*.json` or `*.csv`, or either packed as `*.gz`.
      reading: what the file does not say.

    Returns:
      The runs that could be read and what was wrong with the rest.
    """
    reasons: dict[str, None] = {}  # as a set, in order

    def report(reason: str) -> None:
        if len(reasons) < MAX_RUNS:
            reasons[reason] = None

    runs: list[Run] = []
    try:
        runs = list(_runs(path, reading, report))
        if not runs and not reasons:
            raise BadFile("holds no scores")
    except BadFile as error:
        report(str(error))
    statistics = sorted({run.game for run in runs if names.is_aggregate(run.game)})
    if statistics:
        report(f"statistics over tasks, no tasks, left out: {', '.join(statistics)}")
    return [run for run in runs if run.game not in statistics], problems_of(path, list(reasons))


def _runs(path: Path, reading: Reading, report: Report) -> Iterable[Run]:
    if ".csv" in path.suffixes:
        return _csv(path, reading, report)
    content = read_json(path)
    if isinstance(content, list):
        flat = [entry for entry in content if isinstance(entry, dict) and not _nested(entry)]
        if flat and len(flat) == len(content):
            return _rows(flat, list(flat[0]), path, reading, report)
        return _upstream(content, path, report)
    if isinstance(content, dict) and {"steps", "score"} <= set(content):
        return _harmonydream(content, path, report)
    if isinstance(content, dict) and content and all(map(_scored, content.values())):
        return _games(content, path, reading, report)
    raise BadFile(f"unknown format; {EXPECTED}")


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


def _nested(entry: Mapping) -> bool:
    return any(isinstance(value, list | dict) for value in entry.values())


def _points(x: Any, y: Any, where: str, report: Report, episodes: int = UNKNOWN) -> Series | None:
    """Makes a series or reports why there is none; `where` names the run in the report."""
    if not isinstance(x, list) or not isinstance(y, list):
        report(f"{where}: steps and scores must be lists")
        return None
    try:
        points, complaint = series(x, y, episodes)
    except ValueError as error:
        report(f"{where}: {error}")
        return None
    if complaint:
        report(f"{where}: {complaint}")
    return points


def _upstream(content: list, path: Path, report: Report) -> Iterable[Run]:
    """Reads upstream's list of runs; their scores are training episodes, or bins of them.

    Scores are under `ys`, in Crafter's files under `reward`. NaN in a binned file means a bin
    without an episode, which is left out and reported.
    """
    empty = 0
    runs, widths = [], []
    for number, entry in enumerate(_first(content, report)):
        column = names.columns(entry)[0] if isinstance(entry, dict) else {}
        if not {"task", "xs"} <= set(entry if column else ()) or "score" not in column:
            report(f"run {number} is no {{task, method, seed, xs, ys}}")
            continue
        method, seed = str(entry.get("method", stem(path))), seed_of(entry.get("seed", 0))
        where = f"{entry['task']} seed {seed}"
        x, y = entry["xs"], entry[column["score"] if "ys" not in entry else "ys"]
        episodes = 1
        if _binned(x) and isinstance(y, list) and len(x) == len(y):
            widths.append(float(np.diff(np.sort(np.asarray(x, np.float64))).min()))
            filled = [(a, b) for a, b in zip(x, y) if b is not None and b == b]
            empty += len(x) - len(filled)
            x, y, episodes = [a for a, _ in filled], [b for _, b in filled], UNKNOWN
        points = _points(x, y, where, report, episodes)
        if points is not None:
            task = normalise(str(entry["task"]))
            runs.append(Run(method, task, seed, str(path), trains=points))
    if empty:
        report(f"{empty} bins are NaN (no episode ended in them), left out")
    return [dataclasses.replace(run, width=min(widths, default=0.0)) for run in runs]


def _binned(x: Any) -> bool:
    """Returns whether steps are bins: all multiples of 1,000 frames, as no episode ends are."""
    try:
        return len(x) > 1 and bool((np.asarray(x, np.float64) % 1000 == 0).all())
    except (TypeError, ValueError, OverflowError):
        return False


def _harmonydream(content: dict, path: Path, report: Report) -> Iterable[Run]:
    """Reads `{steps, score: {game: [seed][step]}}`: one evaluation for each step."""
    if not isinstance(content["score"], dict):
        raise BadFile(f"'score' is no object of games; {EXPECTED}")
    curves = []
    for name, seeds in _first(list(content["score"].items()), report):
        if isinstance(seeds, list):
            curves += [(name, seed, curve) for seed, curve in enumerate(seeds[:MAX_RUNS])]
        else:
            report(f"{name}: expected a list with one curve for each seed")
    for name, seed, curve in _first(curves, report):
        points = _points(content["steps"], curve, f"{name} seed {seed}", report)
        if points is not None:
            yield Run(stem(path), normalise(name), seed, str(path), evals=points)


def _scored(value: Any) -> bool:
    """Returns whether a value may be the scores of a game: numbers, lists or objects of them."""
    entries = list(value.values()) if isinstance(value, dict) else value
    shape = int | float | list | dict
    return isinstance(entries, list) and bool(entries) and isinstance(entries[0], shape)


def _games(content: dict, path: Path, reading: Reading, report: Report) -> Iterable[Run]:
    """Reads `{game: [one score a seed]}`, `{game: {seed: score or list}}`, either below methods."""
    inner = next(iter(content.values()))
    below = isinstance(inner, dict) and all(map(names.is_known, inner))
    entries = [
        (method, str(game), seed, scores if isinstance(scores, list) else [scores])
        for method, tasks in (content if below else {stem(path): content}).items()
        for game, seeds in (tasks.items() if isinstance(tasks, dict) else ())
        for seed, scores in _several(seeds)
    ]
    for method, game, seed, scores in _first(entries, report):
        if len(scores) > 1 and reading.lists is None:
            raise BadFile(f"{game}: {len(scores)} numbers for each seed: {LISTS}")
        scores = scores[-1:] if reading.lists == "curve" else scores
        # Of a bare number nobody knows how many episodes are behind it.
        episodes = 1 if len(scores) > 1 else UNKNOWN
        where, frames = f"{game} seed {seed}", [games.budget()] * len(scores)
        points = _points(frames, scores, where, report, episodes)
        if points is not None and len(points):
            joined = evaluations(points)
            yield Run(method, normalise(game), seed_of(seed), str(path), joined, final=True)


def _several(seeds: Any) -> list[tuple]:
    if isinstance(seeds, dict):
        return list(seeds.items())
    return list(enumerate(seeds if isinstance(seeds, list) else [seeds]))


def _first(entries: list, report: Report) -> list:
    """Returns as many entries as a score file may have, and reports the rest."""
    if len(entries) > MAX_RUNS:
        report(f"{len(entries)} entries, used are the first {MAX_RUNS}")
    return entries[:MAX_RUNS]


def _csv(path: Path, reading: Reading, report: Report) -> Iterable[Run]:
    reader = csv.DictReader(io.StringIO(read_text(path)))
    try:
        header = [name for name in reader.fieldnames or [] if name]
    except csv.Error as error:
        raise BadFile(f"not CSV ({error})") from error
    return _rows(reader, header, path, reading, report)


def _rows(
    rows: Iterable[Mapping], header: list[str], path: Path, reading: Reading, report: Report
) -> Iterable[Run]:
    """Reads rows with a score each, and a game (else the file's name must say it).

    Optional: method (else the file's name), seed (else 0), frame or step (else each score is a
    final one), mode ('eval', the default, or 'train'), episodes (behind the score). The usual
    names of these are in data/names.json; other columns are reported.
    """
    column, strange = names.columns(header)
    if "score" not in column:
        rated = [name for name in strange if name.lower() in names.data("names")["normalised"]]
        hint = f"; {rated[0]} is human-normalised, and raw scores are needed" if rated else ""
        raise BadFile(f"needs the columns game and score; it has {', '.join(header)}{hint}")
    method, task = stem(path), None
    if "game" not in column:
        method, task = _task_of(path)
        if task is None:
            raise BadFile(
                f"needs the columns game and score; it has {', '.join(header)}, and its name is "
                "no task that is known"
            )
    if strange:
        report(f"columns that are not understood, unused: {', '.join(strange)}")
    unit = next((u for u in ("frames", "agent_steps", "steps") if u in column), None)
    points: dict[tuple, list[tuple]] = defaultdict(list)

    def cell(row: Mapping, meaning: str, default: Any) -> Any:
        value = row.get(column.get(meaning, ""))
        return default if value is None or value == "" else value

    try:
        for number, row in enumerate(rows, start=2):
            if number > MAX_POINTS:
                raise BadFile(f"more than {MAX_POINTS} rows; the rest is left out")
            mode, name = cell(row, "mode", "eval"), task or cell(row, "game", "")
            if mode not in ("eval", "train") or not name:
                report(f"line {number}: needs a game, and mode eval or train")
                continue
            game, seed = normalise(str(name)), seed_of(cell(row, "seed", 0))
            try:
                frame = float(cell(row, unit or "", "nan" if unit == "steps" else games.budget()))
                score = float(cell(row, "score", "nan"))
                episodes = np.int64(int(cell(row, "episodes", UNKNOWN)))
            except (TypeError, ValueError, OverflowError) as error:
                report(f"line {number}: {error}")
                continue
            if unit:
                frame *= reading.factor(unit, game, f"column {column[unit]!r}", report)
            key = str(cell(row, "method", method)), game, seed, mode
            points[key].append((frame, score, episodes))
    except (csv.Error, BadFile) as error:
        report(str(error))
    curves: dict[tuple, dict[str, Series]] = defaultdict(dict)
    for (method, game, seed, mode), values in points.items():
        curve, complaint = series(*map(list, zip(*values)))
        if complaint:
            report(f"{game} seed {seed}: {complaint}")
        curves[method, game, seed][mode] = evaluations(curve) if mode == "eval" else curve
    return [
        Run(
            method,
            game,
            seed,
            str(path),
            of.get("eval", EMPTY),
            of.get("train", EMPTY),
            final=not unit,
        )
        for (method, game, seed), of in curves.items()
    ]


def _task_of(path: Path) -> tuple[str, str | None]:
    """Returns method and task of a file such as `tdmpc2/walker-walk.csv`, `tdmpc2-walker-walk.csv`.

    No task (None) where the name does not end in one that is known.
    """
    parts = re.split(r"([-_ ])", stem(path))
    for start in range(0, len(parts), 2):
        task = "".join(parts[start:])
        if names.is_known(task):
            return "".join(parts[: max(0, start - 1)]) or path.absolute().parent.name, task
    return stem(path), None
