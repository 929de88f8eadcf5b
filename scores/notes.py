"""What is told below a table: protocols, flags, and why printed numbers may differ."""

from __future__ import annotations

from collections.abc import Sequence, Set

from scores import games, stats
from scores.grid import MARKS
from scores.protocol import FLAGS, PROTOCOLS, Column


def notes(columns: Sequence[Column], flagged: Set[str]) -> list[str]:
    """Returns the lines below a table.

    Args:
      columns: its columns.
      flagged: the keys of `grid.MARKS` that its cells carry.
    """
    lines = []
    used = list(dict.fromkeys(column.protocol for column in columns))
    for name in used:
        lines.append(f"{name}: {PROTOCOLS.get(name, 'as the authors of the column scored')}.")
    if len(used) > 1:
        lines.append(
            "MIXED PROTOCOLS: columns scored differently; part of a difference between them is "
            "the way of scoring."
        )
    meanings = {**FLAGS, "partial": "over the games that have scores only: not comparable"}
    lines += [f"{MARKS[flag]} {meanings[flag]}." for flag in MARKS if flag in flagged]
    lines.append("–: no score. *, bold: within 5% of the best of the row.")
    lines.append("[ ]: 95% interval, stratified bootstrap over seeds. Human-normalised: 1 = human.")
    for column in columns:
        lines += [f"{column.name}: {note}." for note in column.notes]
        lines += _rounding(column)
    return lines


def _rounding(column: Column) -> list[str]:
    """Explains where a paper's printed aggregate is not that of its printed cells."""
    if column.published is None:
        return []
    lines = []
    for name, printed in column.published.printed.items():
        scores = games.normalised(column.games, column.scores)
        value = float(stats.AGGREGATES[name](scores))
        digit = 0.01 if abs(printed * 100 - round(printed * 100)) < 1e-9 else 0.001
        if abs(value - printed) > digit / 2 + 1e-9:
            who = games.published()
            spans = {g: who["human"].scores[g] - who["random"].scores[g] for g in column.games}
            small = sorted(spans, key=spans.__getitem__)[:3]
            listed = ", ".join(f"{games.title(game)} {spans[game]:g}" for game in small)
            lines.append(
                f"{column.name}: its paper prints a {name} of {printed:.1%}; its cells, printed "
                f"as whole scores, give {value:.1%}. Rounding weighs most where human and random "
                f"are few points apart: {listed}."
            )
    return lines
