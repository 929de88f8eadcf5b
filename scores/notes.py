"""What is told below a table: protocols, flags, and why printed numbers may differ."""

from __future__ import annotations

from collections.abc import Sequence, Set

from scores import games, stats
from scores.grid import MARKS
from scores.protocol import FLAGS, REDUCTIONS, Column


def notes(columns: Sequence[Column], flags: Set[str], rated: bool) -> list[str]:
    """Returns the lines below a table.

    Args:
      columns: its columns.
      flagged: the keys of `grid.MARKS` that its cells carry.
      rated: whether it has human-normalised aggregates.
    """
    protocols = list(dict.fromkeys(column.protocol for column in columns))
    lines = [
        f"{name}: {REDUCTIONS.get(name, 'as the authors of the column scored')}."
        for name in protocols
    ]
    if len(protocols) > 1:
        lines.append(
            "MIXED PROTOCOLS: columns scored differently; part of a difference between them is "
            "the way of scoring."
        )
    meanings = {**FLAGS, "partial": "over the games that have scores only: not comparable"}
    lines += [f"{MARKS[flag]} {meanings[flag]}." for flag in MARKS if flag in flags]
    lines.append("–: no score. *, bold: within 5% of the best of the row.")
    human = " Human-normalised: 1 = human." if rated else ""
    lines.append(f"[ ]: 95% interval, stratified bootstrap over seeds.{human}")
    if any(game.startswith("ALE/") for column in columns for game in column.games):
        lines.append("ALE/*: sticky actions unless switched off, so not the games of Atari 100K.")
    for column in columns:
        lines += [f"{column.name}: {note}." for note in column.notes]
        lines += _rounding(column)
    return lines


def _rounding(column: Column) -> list[str]:
    """Explains where a paper's printed aggregate is not that of its printed cells."""
    lines = []
    printed_values = column.published.printed if column.published else {}
    for name, printed in printed_values.items():
        value = float(stats.AGGREGATES[name](games.normalised(column.games, column.scores)))
        digit = 0.01 if abs(printed * 100 - round(printed * 100)) < 1e-9 else 0.001
        if abs(value - printed) > digit / 2 + 1e-9:
            spans = {game: games.span(game) for game in column.games}
            small = sorted(spans, key=spans.__getitem__)[:3]
            smallest = ", ".join(f"{games.title(game)} {spans[game]:g}" for game in small)
            lines.append(
                f"{column.name}: its paper prints a {name} of {printed:.1%}; its cells, printed "
                f"as whole scores, give {value:.1%}. Rounding weighs most where human and random "
                f"are few points apart: {smallest}."
            )
    return lines
