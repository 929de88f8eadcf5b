"""The benchmark table: the paper's Table 2 with any columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from scores import games, stats
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
    """One number of the table.

    Attributes:
      row: game or aggregate.
      column: the column's name.
      estimate: value with interval.
      seeds: runs behind it.
      episodes: behind it, None if not known.
      flags: keys of `grid.MARKS`.
      best: whether it is within 5% of the best of its row.
    """

    row: str
    column: str
    estimate: Estimate
    seeds: int
    episodes: int | None
    flags: tuple[str, ...] = ()
    best: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """Entries by (row, column name) and what to tell below them."""

    columns: Sequence[Column]
    games: Sequence[str]
    entries: Mapping[tuple[str, str], Entry]
    notes: Sequence[str]


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
    shown = rows_of(columns) if only is None else only
    entries: dict[tuple[str, str], Entry] = {}
    for column in columns:
        for entry in [*_games(column, shown, resamples), *_aggregates(column, shown, resamples)]:
            entries[entry.row, column.name] = entry
    for row in [*shown, *TITLES]:
        contest = [entries[row, column.name] for column in columns]
        for entry in _best(row, contest):
            entries[row, entry.column] = dataclasses.replace(entry, best=True)
    return Table(
        columns, shown, entries, notes(columns, {f for e in entries.values() for f in e.flags})
    )


def rows_of(columns: Sequence[Column]) -> list[str]:
    """Returns the games of the table: all 26 if any of them has a score, then the others."""
    found = {game for column in columns for game in column.games}
    known = games.atari100k() if found & set(games.atari100k()) else []
    return [*known, *sorted(found - set(known))]


def _games(column: Column, shown: Sequence[str], resamples: int) -> list[Entry]:
    scores = column.select(shown)
    runs = np.isfinite(scores).sum(0)
    have = np.flatnonzero(runs)
    estimates = {}
    if len(have):

        def per_game(sample: np.ndarray) -> np.ndarray:
            return np.moveaxis(stats.task_means(sample), -1, 0)

        found = stats.bootstrap(per_game, scores[:, have], count=resamples)
        estimates = {
            int(index): estimate if runs[index] > 1 else Estimate(estimate.value)
            for index, estimate in zip(have, found)
        }
    entries = []
    for index, game in enumerate(shown):
        episodes = column.episodes[:, list(column.games).index(game)] if runs[index] else [0]
        total = None if min(episodes) < 0 else int(sum(episodes))
        estimate = estimates.get(index, Estimate(np.nan))
        count = int(runs[index])
        entries.append(Entry(game, column.name, estimate, count, total, column.flags(game)))
    return entries


def _aggregates(column: Column, shown: Sequence[str], resamples: int) -> list[Entry]:
    rated = [game for game in shown if game in games.atari100k()]
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
    rivals = [
        entry
        for entry in contest
        if np.isfinite(entry.estimate.value) and "partial" not in entry.flags
    ]
    if len(rivals) < 2:
        return []
    sign = -1.0 if row == "optimality_gap" else 1.0
    top = max(sign * entry.estimate.value for entry in rivals)
    return [e for e in rivals if sign * e.estimate.value >= top - WITHIN * abs(top)]


def grid(table: Table, intervals: bool = True) -> Grid:
    """Lays the table out for printing.

    Args:
      table: what `build` returned.
      intervals: whether games show their intervals, too (aggregates always do).
    """
    who = games.published()

    def cell(entry: Entry, show: str, detail: bool) -> Cell:
        low, high = entry.estimate.low, entry.estimate.high
        span = f"[{number(low)}, {number(high)}]" if detail and np.isfinite(low) else ""
        return Cell(show, span, entry.best, entry.flags, entry.estimate.value)

    head, body, foot = [], [], []
    blank = [Cell(""), Cell("")]
    head.append([Cell("Protocol"), *blank, *(Cell(column.protocol) for column in table.columns)])
    head.append([Cell("Seeds"), *blank, *(_seeds(column) for column in table.columns)])
    for game in table.games:
        row = [Cell(games.title(game))]
        for reference in ("random", "human"):
            value = float(who[reference].scores.get(game, np.nan))
            row.append(Cell(number(value), value=value))
        found = [table.entries[game, column.name] for column in table.columns]
        body.append(row + [cell(entry, number(entry.estimate.value), intervals) for entry in found])
    for name, title in TITLES.items():
        row = [Cell(title), *blank]
        for column in table.columns:
            entry = table.entries[name, column.name]
            show, _, span = str(entry.estimate).partition(" ")
            row.append(Cell(show, span, entry.best, entry.flags, entry.estimate.value))
        foot.append(row)
    if any(column.published and column.published.printed for column in table.columns):
        for name in ("mean", "median"):
            row = [Cell(f"{TITLES[name]}, as printed"), *blank]
            row += [_printed(column, name) for column in table.columns]
            foot.append(row)
    rated = [game for game in table.games if game in games.atari100k()]
    counts = [sum(len(column.of(game)) > 0 for game in rated) for column in table.columns]
    foot.append([Cell("Games"), *blank, *(Cell(f"{count} of {len(rated)}") for count in counts)])
    header = ["Game", "Random", "Human", *(column.name for column in table.columns)]
    return Grid("Atari 100K" if rated else "Scores", header, [head, body, foot], table.notes)


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
    by_name = {column.name: column for column in table.columns}
    return [
        {
            "row": row,
            "kind": "aggregate" if row in TITLES else "game",
            "column": name,
            "protocol": by_name[name].protocol,
            "value": entry.estimate.value,
            "low": entry.estimate.low,
            "high": entry.estimate.high,
            "seeds": entry.seeds,
            "episodes": entry.episodes,
            "best": entry.best,
            "flags": list(entry.flags),
        }
        for (row, name), entry in table.entries.items()
    ]
