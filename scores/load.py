"""Sources, as named on the command line, to groups of runs: one group is one column."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from embodied.checkpoint.storage import fetch_records, is_url
from embodied.core.errors import UserError, nearest
from scores import games
from scores.folders import EVENTS, find_runs, read_folder
from scores.formats import read_file, stem
from scores.names import data
from scores.read import MAX_GAMES, MAX_SEEDS
from scores.reading import NOTHING, Reading
from scores.records import Problem, Run, printable, problems_of

HELP = data("arguments")["source"]


@dataclasses.dataclass(frozen=True)
class Group:
    """What becomes one column."""

    name: str  # the column's heading
    runs: tuple[Run, ...] = ()  # one for each game and seed; empty for a published column
    # The published column, which has means only, instead of runs.
    published: games.Published | None = None


@dataclasses.dataclass(frozen=True)
class _Part:
    """One method of one source, before sources are joined."""

    method: str
    label: str = ""  # NAME= of the command line
    home: str = ""  # the file, which keeps its methods apart; empty for folders
    runs: tuple[Run, ...] = ()
    published: games.Published | None = None

    def name(self, homes: set[str]) -> str:
        """Returns the column's heading, given the homes of all parts of this method."""
        if self.label or not self.home or len(homes) == 1:
            return printable(self.label or self.method)
        short = stem(Path(self.home))
        alike = [home for home in homes if home and stem(Path(home)) == short]
        return printable(f"{self.method} ({short if len(alike) == 1 else self.home})")


def load(
    sources: Sequence[str], only: Sequence[str] | None = None, reading: Reading = NOTHING
) -> tuple[list[Group], list[Problem]]:
    """Reads sources into groups of runs.

    Runs of one method from several folders form one group, so `runs/*` works; files keep to
    themselves, and share a group only when they are given the same NAME.

    Args:
      sources: see `HELP`.
      only: canonical names of the games to keep; None: all.
      reading: what the files do not say.

    Returns:
      The groups in the order of the sources, and what was wrong with their files.

    Raises:
      UserError: no such path, column or method, or nothing could be read at all.
    """
    problems: list[Problem] = []
    parts = [part for source in sources for part in _read(source, reading, problems)]
    homes: dict[str, set[str]] = {}
    for part in parts:
        homes.setdefault(part.method, set()).add(part.home)
    columns: dict[str, list[_Part]] = {}
    for part in parts:
        columns.setdefault(part.name(homes[part.method]), []).append(part)
    if not columns:
        faults = "".join(f"\n  {problem}" for problem in problems)
        raise UserError(f"no scores could be read{faults}\nA source is a {HELP}.")
    groups = [_group(name, members, only, problems) for name, members in columns.items()]
    return groups, problems + _missing(groups, only)


def load_pair(
    sources: Sequence[str], only: Sequence[str] | None, reading: Reading = NOTHING
) -> tuple[list[Group], list[Problem]]:
    """Loads A and B apart, each one column, with names that differ.

    Raises:
      UserError: one of them holds several methods.
    """
    pair: list[Group] = []
    problems: list[Problem] = []
    for source in sources:
        groups, faults = load([source], only, reading)
        problems += faults
        if len(groups) > 1:
            several = ", ".join(group.name for group in groups)
            how = f"Take one: {source}::METHOD"
            raise UserError(f"{source} holds several methods: {several}. {how}")
        pair += groups
    names = [group.name for group in pair]
    if names[0] == names[1]:
        names = [f"{name} ({source})" for name, source in zip(names, sources)]
    if names[0] == names[1]:  # A source against itself: a dry run of a CI job.
        names[1] += " again"
    return [dataclasses.replace(group, name=name) for group, name in zip(pair, names)], problems


def _missing(groups: Sequence[Group], only: Sequence[str] | None) -> list[Problem]:
    """Returns which games groups of runs lack, of `only` or of the 26 if they have some of them.

    Groups that lack the same games are named together.
    """
    wanted = only or games.atari100k()
    lacking: dict[str, list[str]] = {}
    for group in (group for group in groups if not group.published):
        names = [game for game in wanted if game not in {run.game for run in group.runs}]
        if names and (only or len(names) < len(wanted)):
            reason = f"{len(names)} of {len(wanted)} games missing: {', '.join(names)}"
            files = [run.path for run in group.runs if Path(run.path).is_file()]
            lacking.setdefault(reason, []).extend(files or [group.name])
    return [Problem(", ".join(dict.fromkeys(names)), why) for why, names in lacking.items()]


def _group(
    name: str, parts: list[_Part], only: Sequence[str] | None, problems: list[Problem]
) -> Group:
    """Joins the parts of one column; reports seeds that come twice."""
    if any(part.published for part in parts):
        if any(part.runs for part in parts):
            raise UserError(f"{name}: a published column has no runs to join others with")
        return Group(name, published=_restricted(parts[0].published, only))
    runs: dict[tuple[str, int | str], Run] = {}
    seeds: Counter[str] = Counter()
    reasons: dict[str, list[str]] = {}
    for run in (run for part in parts for run in part.runs if not only or run.game in only):
        key = (run.game, run.seed)
        if key in runs:
            first = runs[key].path
            where = "the first" if first == run.path else first
            reason = f"seed {run.seed} comes twice, used is {where}"
        elif seeds[run.game] >= MAX_SEEDS:
            reason = f"more than {MAX_SEEDS} seeds, left out"
        elif run.game not in seeds and len(seeds) >= MAX_GAMES:
            reason = f"more than {MAX_GAMES} games in a column, left out"
        else:
            runs[key] = run
            seeds[run.game] += 1
            continue
        reasons.setdefault(run.path, []).append(f"{run.game}: {reason}")
    for path, complaints in reasons.items():
        problems += problems_of(path, complaints)
    return Group(name, tuple(runs.values()))


def _restricted(
    column: games.Published | None, only: Sequence[str] | None
) -> games.Published | None:
    """Returns a published column of some games; what was printed for all 26 is then void."""
    if column is None or not only:
        return column
    scores = {game: score for game, score in column.scores.items() if game in only}
    return dataclasses.replace(column, scores=scores, printed={})


def _read(source: str, reading: Reading, problems: list[Problem]) -> list[_Part]:
    """Reads one SOURCE; what is wrong with its files goes to `problems`."""
    label, where, method = "", source, ""
    if "=" in source and not Path(source).exists():
        label, where = source.split("=", 1)
    if "::" in where and not Path(where).exists():
        where, method = where.rsplit("::", 1)
    if where.startswith("paper:") or (where in games.published() and not Path(where).exists()):
        return _published(where, label)
    path = fetch_records(where) if is_url(where) else Path(where).expanduser()
    if path.is_dir():
        home, contents = "", [read_folder(folder, reading) for folder in find_runs(path)]
        if not contents:
            problems.append(Problem(where, "no run folder in it (config.yaml, episodes.jsonl)"))
    elif path.is_file():
        log = path.suffix == ".jsonl" or path.name.startswith(EVENTS)
        home, contents = where, [(read_folder if log else read_file)(path, reading)]
    else:
        raise UserError(f"no such source: {where!r}. A source is a {HELP}.")
    problems += [problem for _, complaints in contents for problem in complaints]
    methods: dict[str, list[Run]] = {}
    for run in (run for runs, _ in contents for run in runs):
        methods.setdefault(run.method, []).append(run)
    known = ", ".join(methods)
    if method:
        if methods and method not in methods:
            hint = nearest(method, methods)
            raise UserError(f"{where} has no method {method!r}, only {known}{hint}")
        methods = {name: runs for name, runs in methods.items() if name == method}
    if label and len(methods) > 1:
        raise UserError(
            f"{source!r} names one column, but {where} holds the methods {known}: "
            f"take one with {label}={where}::METHOD"
        )
    return [_Part(name, label, home, tuple(runs)) for name, runs in methods.items()]


def _published(where: str, label: str) -> list[_Part]:
    known = games.published()
    name = where.removeprefix("paper:")
    sets = {
        "all": [key for key, column in known.items() if not column.source],
        "released": [key for key, column in known.items() if column.source],
    }
    if name not in known and name not in sets:
        columns = ", ".join(f"paper:{key}" for key in known)
        sought = f"no published column {where!r}; there are paper:all, paper:released and {columns}"
        raise UserError(sought + nearest(name, known))
    names = [key for key in sets.get(name, ()) if key not in ("random", "human")] or [name]
    return [_Part(f"paper:{key}", label, published=known[key]) for key in names]
