"""Score files as people exchange them: JSON of several shapes, and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scores import games, names
from scores.names import normalise
from scores.read import MAX_POINTS, MAX_RUNS, BadFile, read_json, read_text
from scores.reading import LISTS, NOTHING, Reading
from scores.records import (
    EMPTY,
    UNKNOWN,
    Problem,
    Run,
    evaluations,
    numbers,
    printable,
    problems_of,
    series,
)

EXPECTED = (
    "expected upstream's list of {task, method, seed, xs, ys}, HarmonyDream's {steps, score: "
    "{game: [seed][step]}}, {game: [one score a seed]}, or rows of game, seed, score as CSV or JSON"
)


def read_file(path: Path, reading: Reading = NOTHING) -> tuple[list[Run], list[Problem]]:
    """Reads one score file of any of the formats.

    Args:
      path: `*.json` or `*.csv`, or either packed as `*.gz`.
      reading: what the file does not say.

    Returns:
      The runs that could be read and what was wrong with the rest.
    """
    file = _File(path, reading)
    runs: list[Run] = []
    try:
        runs = list(file.runs())
        if not runs and not file.reasons:
            raise BadFile("holds no scores")
    except BadFile as error:
        file.report(str(error))
    statistics = sorted({run.game for run in runs if names.is_aggregate(run.game)})
    if statistics:
        file.report(f"statistics over tasks, no tasks, left out: {', '.join(statistics)}")
    tasks = [run for run in runs if run.game not in statistics]
    return tasks, problems_of(path, list(file.reasons))


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


class _File:
    """A file that is being read; `reasons` are its faults, each once and in order."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self.path, self.reading = path, reading
        self.reasons: dict[str, None] = {}

    def report(self, reason: str) -> None:
        if len(self.reasons) < MAX_RUNS:
            self.reasons[reason] = None

    def runs(self) -> Iterable[Run]:
        if ".csv" in self.path.suffixes:
            return self._csv()
        content = read_json(self.path)
        if isinstance(content, list):
            rows = [entry for entry in content if isinstance(entry, dict) and _flat(entry)]
            if rows and len(rows) == len(content):
                return self._rows(rows, list(rows[0]))
            return self._upstream(content)
        if isinstance(content, dict) and {"steps", "score"} <= set(content):
            return self._harmonydream(content)
        if isinstance(content, dict) and content and all(map(_scores, content.values())):
            return self._games(content)
        raise BadFile(f"unknown format; {EXPECTED}")

    def _run(
        self, method: str, task: Any, seed: Any, x: Any, y: Any, episodes: Any, kind: str
    ) -> list[Run]:
        """Returns the run of these points, or none, which is reported."""
        where = f"{task} seed {seed}"
        if not isinstance(x, list) or not isinstance(y, list):
            self.report(f"{where}: steps and scores must be lists")
            return []
        try:
            points, complaint = series(x, y, episodes)
        except ValueError as error:
            self.report(f"{where}: {error}")
            return []
        if complaint:
            self.report(f"{where}: {complaint}")
        evals = evaluations(points) if kind == "eval" else EMPTY
        trains = points if kind == "train" else EMPTY
        path = str(self.path)
        return [Run(method, normalise(str(task)), seed_of(seed), path, evals, trains)]

    def _upstream(self, content: list) -> Iterable[Run]:
        """Reads upstream's list of runs; their scores are training episodes, or bins of them.

        Scores are under `ys`, in Crafter's files under `reward`. NaN in a binned file means a bin
        without an episode, which is left out and reported.
        """
        empty = 0
        runs, widths = [], []
        for number, entry in enumerate(self._first(content)):
            column = names.columns(entry)[0] if isinstance(entry, dict) else {}
            if "score" not in column or not {"task", "xs"} <= set(entry):
                self.report(f"run {number} is no {{task, method, seed, xs, ys}}")
                continue
            x, y = entry["xs"], entry["ys" if "ys" in entry else column["score"]]
            episodes = 1
            if _binned(x) and isinstance(y, list) and len(x) == len(y):
                widths.append(float(np.diff(np.sort(numbers(x))).min()))
                pairs = [(a, b) for a, b in zip(x, y) if b is not None and b == b]
                empty += len(x) - len(pairs)
                x, y, episodes = [a for a, _ in pairs], [b for _, b in pairs], UNKNOWN
            method, seed = str(entry.get("method", stem(self.path))), entry.get("seed", 0)
            runs += self._run(method, entry["task"], seed, x, y, episodes, "train")
        if empty:
            self.report(f"{empty} bins are NaN (no episode ended in them), left out")
        return [dataclasses.replace(run, width=min(widths, default=0.0)) for run in runs]

    def _harmonydream(self, content: dict) -> Iterable[Run]:
        """Reads `{steps, score: {game: [seed][step]}}`: one evaluation for each step."""
        if not isinstance(content["score"], dict):
            raise BadFile(f"'score' is no object of games; {EXPECTED}")
        curves = []
        for name, seeds in self._first(list(content["score"].items())):
            if isinstance(seeds, list):
                curves += [(name, seed, curve) for seed, curve in enumerate(seeds[:MAX_RUNS])]
            else:
                self.report(f"{name}: expected a list with one curve for each seed")
        for name, seed, curve in self._first(curves):
            steps = content["steps"]
            yield from self._run(stem(self.path), name, seed, steps, curve, UNKNOWN, "eval")

    def _games(self, content: dict) -> Iterable[Run]:
        """Reads `{game: [one score a seed]}`, `{game: {seed: score or list}}`, or methods of it."""
        inner = next(iter(content.values()))
        below = isinstance(inner, dict) and all(map(names.is_known, inner))
        entries = [
            (method, game, seed, scores if isinstance(scores, list) else [scores])
            for method, tasks in (content if below else {stem(self.path): content}).items()
            for game, seeds in (tasks.items() if isinstance(tasks, dict) else ())
            for seed, scores in _several(seeds)
        ]
        for method, game, seed, scores in self._first(entries):
            if len(scores) > 1 and self.reading.lists is None:
                raise BadFile(f"{game}: {len(scores)} numbers for each seed: {LISTS}")
            scores = scores[-1:] if self.reading.lists == "curve" else scores
            # Of a bare number nobody knows how many episodes are behind it.
            episodes = 1 if len(scores) > 1 else UNKNOWN
            frames = [games.budget()] * len(scores)
            for run in self._run(method, game, seed, frames, scores, episodes, "eval"):
                if len(run.evals):
                    yield dataclasses.replace(run, final=True)

    def _first(self, entries: list) -> list:
        """Returns as many entries as a score file may have, and reports the rest."""
        if len(entries) > MAX_RUNS:
            self.report(f"{len(entries)} entries, used are the first {MAX_RUNS}")
        return entries[:MAX_RUNS]

    def _csv(self) -> Iterable[Run]:
        reader = csv.DictReader(io.StringIO(read_text(self.path)))
        try:
            header = [name for name in reader.fieldnames or [] if name]
        except csv.Error as error:
            raise BadFile(f"not CSV ({error})") from error
        return self._rows(reader, header)

    def _rows(self, rows: Iterable[Mapping], header: Sequence[str]) -> Iterable[Run]:
        """Reads rows with a score each, and a game (else the file's name must say it).

        Optional: method (else the file's name), seed (else 0), frame or step (else each score is
        a final one), mode ('eval', the default, or 'train'), episodes (behind the score). The
        usual names of these are in data/names.json; other columns are reported.
        """
        column, strange = names.columns(header)
        method, task = (
            (stem(self.path), "")
            if "game" in column
            else names.task_of(stem(self.path), self.path.absolute().parent.name)
        )
        if "score" not in column or (not task and "game" not in column):
            rated = [name for name in strange if name.lower() in names.data("names")["normalised"]]
            hint = f"; {rated[0]} is human-normalised, and raw scores are needed" if rated else ""
            raise BadFile(f"needs the columns game and score; it has {', '.join(header)}{hint}")
        if strange:
            self.report(f"columns that are not understood, unused: {', '.join(strange)}")
        unit = next((u for u in ("frames", "agent_steps", "steps") if u in column), "")
        nowhere = "nan" if unit == "steps" else games.budget()

        def cell(row: Mapping, meaning: str, default: Any) -> Any:
            value = row.get(column.get(meaning, ""))
            return default if value is None or value == "" else value

        points: dict[tuple, list[tuple]] = defaultdict(list)
        others: dict[tuple, list[list]] = defaultdict(list)  # What strange columns say.
        try:
            for number, row in enumerate(rows, start=2):
                if number > MAX_POINTS:
                    raise BadFile(f"more than {MAX_POINTS} rows; the rest is left out")
                mode, name = cell(row, "mode", "eval"), str(task or cell(row, "game", ""))
                if mode not in ("eval", "train") or not name:
                    self.report(f"line {number}: needs a game, and mode eval or train")
                    continue
                try:
                    frame = float(cell(row, unit, nowhere))
                    score = float(cell(row, "score", "nan"))
                    episodes = np.int64(int(cell(row, "episodes", UNKNOWN)))
                except (TypeError, ValueError, OverflowError) as error:
                    self.report(f"line {number}: {error}")
                    continue
                game = normalise(name)
                if unit:
                    where = f"column {column[unit]!r}"
                    frame *= self.reading.factor(unit, game, where, self.report)
                key = str(cell(row, "method", method)), game, seed_of(cell(row, "seed", 0)), mode
                points[key].append((frame, score, episodes))
                others[key].append([row.get(name) for name in strange])
        except (csv.Error, BadFile) as error:
            self.report(str(error))
        runs: dict[tuple, Run] = {}
        for (who, game, seed, mode), values in points.items():
            told = zip(strange, zip(*others[who, game, seed, mode]))
            steps = [] if unit else [name for name, each in told if _differ(each)]
            if steps and self.reading.lists is None:
                raise BadFile(
                    f"{game}: {len(values)} rows for each seed, and no column for frames: {LISTS}; "
                    f"if {steps[0]!r} counts frames or agent steps, rename it frame or step"
                )
            values = values[-1:] if steps and self.reading.lists == "curve" else values
            x, y, numbers = (list(column) for column in zip(*values))
            (run,) = self._run(who, game, seed, x, y, numbers, mode)
            other = runs.get((who, game, seed), run)
            evals, trains = (run, other) if mode == "eval" else (other, run)
            runs[who, game, seed] = dataclasses.replace(
                run, evals=evals.evals, trains=trains.trains, final=not unit
            )
        return runs.values()


def _differ(cells: Sequence[Any]) -> bool:
    """Returns whether a column numbers the rows of a run, as steps or episodes do."""
    found = numbers(list(cells))
    return len(found) > 1 and bool(np.isfinite(found).all()) and len(set(found)) == len(found)


def _flat(entry: Mapping) -> bool:
    return not any(isinstance(value, list | dict) for value in entry.values())


def _binned(x: Any) -> bool:
    """Returns whether steps are bins: all multiples of 1,000 frames, as no episode ends are."""
    if not isinstance(x, list) or len(x) < 2:
        return False
    frames = numbers(x)
    return bool(np.isfinite(frames).all() and (frames % 1000 == 0).all())


def _scores(value: Any) -> bool:
    """Returns whether a value may be the scores of a game: numbers, lists or objects of them."""
    entries = list(value.values()) if isinstance(value, dict) else value
    shape = int | float | list | dict
    return isinstance(entries, list) and bool(entries) and isinstance(entries[0], shape)


def _several(seeds: Any) -> Iterable[tuple]:
    if isinstance(seeds, dict):
        return seeds.items()
    return enumerate(seeds if isinstance(seeds, list) else [seeds])
