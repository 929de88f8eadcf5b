"""The benchmark table: the paper's Table 2 with any columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from scores import budgets, games, stats
from scores.grid import MARKS, Cell, Grid, number
from scores.notes import notes
from scores.protocol import Column
from scores.stats import Estimate

TITLES: Mapping[str, str] = {
    "mean": "Human mean",
    "median": "Human median",
    "iqm": "IQM",
    "optimality_gap": "Optimality gap",
}
WITHIN = 0.05  # of the best: bold


@dataclasses.dataclass(frozen=True)
class Entry:
    """One number of the table."""

    row: str  # game or aggregate
    column: str  # the column's name
    estimate: Estimate  # value with interval
    seeds: int  # runs behind it
    episodes: int | None  # behind it, None if not known
    flags: tuple[str, ...] = ()  # keys of `grid.MARKS`
    best: bool = False  # whether it is within 5% of the best of its row


@dataclasses.dataclass(frozen=True)
class Table:
    """Entries by (row, column name) and what to tell above and below them."""

    columns: Sequence[Column]
    games: Sequence[str]
    entries: Mapping[tuple[str, str], Entry]
    title: str
    notes: Sequence[str]

    @property
    def rated(self) -> list[str]:
        """The games that have a human score; without any the table has no aggregates."""
        return [game for game in self.games if game in games.atari100k()]


def build(
    columns: Sequence[Column],
    resamples: int = stats.RESAMPLES,
    only: Sequence[str] | None = None,
) -> Table:
    """Computes the table.

    Args:
      columns: what `protocol.columns` returned; names must differ.
      resamples: bootstrap resamples behind each interval.
      only: the games of the table; None: see `rows_of`.
    """
    names = rows_of(columns) if only is None else only
    title = budgets.title(names, {k: v for column in columns for k, v in column.budgets.items()})
    table = Table(columns, names, {}, title, [])
    entries: dict[tuple[str, str], Entry] = {}
    for column in columns:
        rows = _games(column, names, resamples) + _aggregates(column, table.rated, resamples)
        entries |= {(entry.row, column.name): entry for entry in rows}
    for row in dict.fromkeys(row for row, _ in entries):
        for entry in _best(row, [entries[row, column.name] for column in columns]):
            entries[row, entry.column] = dataclasses.replace(entry, best=True)
    flags = {flag for entry in entries.values() for flag in entry.flags}
    lines = notes(columns, flags, bool(table.rated))
    return dataclasses.replace(table, entries=entries, notes=lines)


def rows_of(columns: Sequence[Column]) -> list[str]:
    """Returns the games of the table: all 26 if any of them has a score, then the others."""
    present = {game for column in columns for game in column.games}
    known = games.atari100k() if present & set(games.atari100k()) else []
    return [*known, *sorted(present - set(known))]


def _games(column: Column, names: Sequence[str], resamples: int) -> list[Entry]:
    scores = column.select(names)
    runs = np.isfinite(scores).sum(0)
    have = np.flatnonzero(runs)
    estimates = dict.fromkeys(range(len(names)), Estimate(np.nan))
    if len(have):
        means = stats.bootstrap(stats.each_task, scores[:, have], count=resamples)
        estimates |= {
            int(index): estimate if runs[index] > 1 else Estimate(estimate.value)
            for index, estimate in zip(have, means)
        }
    entries = []
    for index, game in enumerate(names):
        episodes = column.episodes[:, list(column.games).index(game)] if runs[index] else [0]
        counts = int(runs[index]), None if min(episodes) < 0 else int(sum(episodes))
        entries.append(Entry(game, column.name, estimates[index], *counts, column.flags(game)))
    return entries


def _aggregates(column: Column, rated: Sequence[str], resamples: int) -> list[Entry]:
    if not rated:
        return []
    scores = games.normalised(rated, column.select(rated))
    estimates = stats.aggregates(scores, resamples)
    if column.published:  # Made of single runs, which a published mean does not tell.
        estimates |= {"iqm": Estimate(np.nan), "optimality_gap": Estimate(np.nan)}
    doubts = {flag for game in rated for flag in column.flags(game)}
    if not np.isfinite(scores).any(0).all():
        doubts.add("partial")
    flags = tuple(flag for flag in MARKS if flag in doubts)
    runs = int(np.isfinite(scores).sum())
    return [
        Entry(name, column.name, estimate, runs, None, flags if runs else ())
        for name, estimate in estimates.items()
    ]


def _best(row: str, contest: Sequence[Entry]) -> list[Entry]:
    """Returns the entries within 5% of the best; aggregates of some games only do not compete."""
    finite = (entry for entry in contest if np.isfinite(entry.estimate.value))
    rivals = [entry for entry in finite if "partial" not in entry.flags]
    if len(rivals) < 2:
        return []
    sign = -1.0 if row == "optimality_gap" else 1.0
    top = max(sign * entry.estimate.value for entry in rivals)
    return [e for e in rivals if sign * e.estimate.value >= top - WITHIN * abs(top)]


def grid(table: Table, intervals: bool = True) -> Grid:
    """Lays the table out; `intervals`: those of games, too (aggregates always have theirs)."""
    columns, rated = table.columns, table.rated
    blank = [Cell(""), Cell("")] if rated else []  # below the references Random and Human

    def row(name: str, cells: Sequence[Cell]) -> list[Cell]:
        return [Cell(name), *blank, *cells]

    head = [
        row("Protocol", [Cell(column.protocol) for column in columns]),
        row("Seeds", [_seeds(column) for column in columns]),
    ]
    body, foot = [], []
    for game in table.games:
        cells = []
        for entry in (table.entries[game, column.name] for column in columns):
            low, high = number(entry.estimate.low), number(entry.estimate.high)
            span = f"[{low}, {high}]" if intervals and np.isfinite(entry.estimate.low) else ""
            cells.append(_marked(entry, number(entry.estimate.value), span))
        if rated:
            cells = [Cell(number(value), value=value) for value in games.references(game)] + cells
        body.append([Cell(games.title(game)), *cells])
    if rated:
        for name, title in TITLES.items():
            cells = []
            for entry in (table.entries[name, column.name] for column in columns):
                show, _, span = str(entry.estimate).partition(" ")
                cells.append(_marked(entry, show, span))
            foot.append(row(title, cells))
        if any(column.published and column.published.printed for column in columns):
            for name in ("mean", "median"):
                cells = [_printed(column, name) for column in columns]
                foot.append(row(f"{TITLES[name]}, as printed", cells))
        counts = [sum(len(column.of(game)) > 0 for game in rated) for column in columns]
        foot.append(row("Games", [Cell(f"{count} of {len(rated)}") for count in counts]))
    references = ["Random", "Human"] if rated else []
    header = ["Game", *references, *(column.name for column in columns)]
    return Grid(table.title, header, [block for block in (head, body, foot) if block], table.notes)


def _marked(entry: Entry, text: str, detail: str) -> Cell:
    marks = "".join(MARKS[flag] for flag in entry.flags)
    return Cell(text, detail, entry.best, marks, entry.estimate.value)


def _seeds(column: Column) -> Cell:
    if column.published:
        return Cell("means only")
    counts = np.isfinite(column.scores).sum(0)
    counts = counts[counts > 0]
    if not len(counts):
        return Cell("0")
    low, high = int(counts.min()), int(counts.max())
    return Cell(str(high) if low == high else f"{low}–{high}")


def _printed(column: Column, name: str) -> Cell:
    if column.published is None or not column.published.printed:
        return Cell("")
    value = column.published.printed[name]
    digits = 0 if abs(value * 100 - round(value * 100)) < 1e-9 else 1
    return Cell(f"{value:.{digits}%}", value=value)


def records(table: Table) -> list[dict]:
    """Returns every entry as a flat record, for CSV and JSON."""
    protocols = {column.name: column.protocol for column in table.columns}
    rows = []
    for (row, name), entry in table.entries.items():
        kind = "aggregate" if row in TITLES else "game"
        head = {"row": row, "kind": kind, "column": name, "protocol": protocols[name]}
        counts = {"seeds": entry.seeds, "episodes": entry.episodes, "best": entry.best}
        numbers = dataclasses.asdict(entry.estimate)
        rows.append(head | numbers | counts | {"flags": list(entry.flags)})
    return rows
