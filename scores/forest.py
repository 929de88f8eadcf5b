"""The forest plot of a comparison: every game's difference on one human-normalised axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scores import games
from scores.compare import Comparison, GameRow
from scores.style import COLORS, GREY, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS: dict[str, dict[str, Any]] = {
    "better": {"color": COLORS[0], "marker": "o"},
    "worse": {"color": COLORS[1], "marker": "s"},
    "undecided": {"color": GREY, "marker": "D"},
}


def forest(comparison: Comparison) -> Figure:
    """Draws each game's difference with its 95% interval, largest first, the IQM's below.

    Differences are divided by human - random, so that games share an axis; where no game has a
    human score they stay raw. The axis is linear near zero and logarithmic beyond.
    """
    rated = [row for row in comparison.rows if row.game in games.atari100k()]
    rows = rated or list(comparison.rows)
    scaled = [(row, _scale(row)) for row in rows]
    scaled.sort(key=lambda pair: -pair[0].difference.value / pair[1])
    with styled():
        figure = new_figure(5.2, 1.2 + 0.19 * (len(rows) + 2))
        axes = figure.subplots()
        axes.axvline(0, color="black", linewidth=0.9)
        for place, (row, scale) in enumerate(scaled):
            change = row.difference
            look = LOOKS[row.verdict]
            if np.isfinite(change.low):
                span = [change.low / scale, change.high / scale]
                axes.plot(span, [place] * 2, color=look["color"], linewidth=1.3)
            axes.plot(change.value / scale, place, markersize=4, **look)
        labels = [games.title(row.game) for row, _ in scaled]
        iqm = comparison.aggregates["iqm"]
        if np.isfinite(iqm.low):
            below = len(rows) + 0.5
            axes.axhline(len(rows) - 0.25, color=GREY, linewidth=0.6)
            axes.plot([iqm.low, iqm.high], [below] * 2, color="black", linewidth=2.2)
            axes.plot(iqm.value, below, color="black", marker="D", markersize=5.5)
            labels.append("IQM, all games")
        ticks = [*range(len(rows)), len(rows) + 0.5][: len(labels)]
        axes.set_yticks(ticks, labels, fontsize=7)
        axes.set_ylim(max(ticks) + 0.8, -0.8)
        axes.grid(False, axis="y")
        if rated:
            axes.set_xscale("symlog", linthresh=0.1, linscale=0.6)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g}" if value else "0")
        _label(axes, comparison, "human-normalised score" if rated else "score")
        used = [name for name in LOOKS if name in {row.verdict for row in rows}]
        for name in used:
            axes.plot([], [], linestyle="-", markersize=4, label=name, **LOOKS[name])
        axes.legend(loc="best", title="after Holm", title_fontsize=7, fontsize=7)
    return figure


def _scale(row: GameRow) -> float:
    """Returns human - random of a game, 1 where it has none."""
    who = games.published()
    if row.game not in who["human"].scores:
        return 1.0
    return who["human"].scores[row.game] - who["random"].scores[row.game]


def _label(axes: Axes, comparison: Comparison, unit: str) -> None:
    """Writes the verdict above and below which side is whose."""
    axes.set_xlabel(f"Difference in {unit}", labelpad=14)
    for side, hint in enumerate((f"← {comparison.a} better", f"{comparison.b} better →")):
        axes.annotate(
            hint,
            (side, 0),
            (0, -18),
            xycoords="axes fraction",
            textcoords="offset points",
            ha=("left", "right")[side],
            va="top",
            fontsize=7,
        )
    better = comparison.improvement
    axes.set_title(
        f"{comparison.b} against {comparison.a}: {comparison.verdict}"
        + (
            f", P(improvement) {better.value:.2f} [{better.low:.2f}, {better.high:.2f}]"
            if np.isfinite(better.low)
            else ""
        )
    )
