"""The forest plot of a comparison: every game's difference on one human-normalised axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scores import games
from scores.compare import Comparison
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
    rated = [row for row in comparison.rows if np.isfinite(games.span(row.game))]
    pairs = [(row, games.span(row.game) if rated else 1.0) for row in rated or comparison.rows]
    pairs.sort(key=lambda pair: -pair[0].difference.value / pair[1])
    with styled():
        figure = new_figure(5.2, 1.5 + 0.19 * (len(pairs) + 2))
        axes = figure.subplots()
        axes.axvline(0, color="black", linewidth=0.9)
        for place, (row, scale) in enumerate(pairs):
            change = row.difference
            look = LOOKS[row.verdict]
            if np.isfinite(change.low):
                span = [change.low / scale, change.high / scale]
                axes.plot(span, [place] * 2, color=look["color"], linewidth=1.3)
            axes.plot(change.value / scale, place, markersize=4, **look)
        labels = [games.title(row.game) for row, _ in pairs]
        ticks: list[float] = list(range(len(pairs)))
        iqm = comparison.aggregates.get("iqm")
        if iqm and np.isfinite(iqm.low):
            ticks.append(len(pairs) + 0.5)
            axes.axhline(len(pairs) - 0.25, color=GREY, linewidth=0.6)
            axes.plot([iqm.low, iqm.high], ticks[-1:] * 2, color="black", linewidth=2.2)
            axes.plot(iqm.value, ticks[-1], color="black", marker="D", markersize=5.5)
            labels.append("IQM, all games")
        axes.set_yticks(ticks, labels, fontsize=7)
        axes.set_ylim(max(ticks) + 0.8, -0.8)
        axes.set_ylabel("Game")
        axes.grid(False, axis="y")
        if rated:
            axes.set_xscale("symlog", linthresh=0.1, linscale=0.6)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g}" if value else "0")
        _label(axes, comparison, "human-normalised score" if rated else "score")
        for name in (name for name in LOOKS if name in {row.verdict for row, _ in pairs}):
            axes.plot([], [], linestyle="-", markersize=4, label=name, **LOOKS[name])
        # Outside of the axes, where it covers no interval.
        figure.legend(
            loc="outside lower center", ncols=3, title="verdict after Holm; lines: 95% interval",
            title_fontsize=7, fontsize=7,
        )  # fmt: skip
    return figure


def _label(axes: Axes, comparison: Comparison, unit: str) -> None:
    """Writes the verdict above and below which side is whose."""
    axes.set_xlabel(f"Difference in {unit}", labelpad=14)
    below: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    below |= {"va": "top", "fontsize": 7}
    axes.annotate(f"← {comparison.a} better", (0, 0), (0, -18), ha="left", **below)
    axes.annotate(f"{comparison.b} better →", (1, 0), (0, -18), ha="right", **below)
    better = comparison.improvement
    span = f" [{better.low:.2f}, {better.high:.2f}]"
    won = f"\nP(improvement) {better.value:.2f}{span}" if np.isfinite(better.low) else ""
    axes.set_title(f"{comparison.b} against {comparison.a}: {comparison.verdict}{won}")
