"""The figures of one or more columns; a column looks the same in all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from embodied.core.errors import UserError
from scores import games
from scores.curves import Curve, efficiency, learning_curve, profile
from scores.load import Group
from scores.protocol import Column
from scores.style import (
    COLORS,
    GREY,
    fold,
    frames_axis,
    look,
    new_figure,
    panels,
    styled,
    thousands,
)
from scores.table import TITLES, Table, rows_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BANDS = {"sd": "standard deviation", "ci": "95% interval"}


def _draw(axes: Axes, curve: Curve, index: int, label: str, every: int) -> None:
    style = {"linewidth": 1.4, "markersize": 3, "markevery": every} | look(index)
    axes.plot(curve.frames, curve.mean, label=label, **style)
    band = {"color": style["color"], "alpha": 0.18, "linewidth": 0}
    axes.fill_between(curve.frames, curve.low, curve.high, **band)


def learning_curves(
    groups: Sequence[Group], columns: Sequence[Column], frames: float | None, band: str
) -> Figure:
    """Draws one panel a game, as the paper's Fig. 13: mean and band over seeds.

    `columns` are those of the groups; published ones are left out. See `curves.learning_curve`.
    """
    by_game = {
        game: [learning_curve(g, game, c, frames, band) for g, c in zip(groups, columns)]
        for game in rows_of(columns)
    }
    by_game = {game: curves for game, curves in by_game.items() if any(curves)}
    if not by_game:
        raise UserError("no curves to draw: published columns have final scores only")
    across = min(6, math.ceil(math.sqrt(len(by_game))) + (len(by_game) > 4))
    down = math.ceil(len(by_game) / across)
    handles: dict[str, Any] = {}
    with styled():
        figure = new_figure(max(3.6, 1.75 * across), 1.45 * down + 0.6)
        for axes, (game, curves) in zip(
            panels(figure, down, across, len(by_game)), by_game.items()
        ):
            for index, curve in enumerate(curves):
                if curve is not None:
                    _draw(axes, curve, index, groups[index].name, every=4)
            low, high = axes.dataLim.intervaly
            if high - low < 1e-9 * max(1, abs(high)):  # Freeway: all zero
                axes.set_ylim(low - 1, high + 2)
            _references(axes, game)
            axes.set_title(fold(games.title(game)))
            axes.locator_params(nbins=4)
            axes.tick_params(labelsize=7)
            axes.yaxis.set_major_formatter(lambda value, _: thousands(value, ".3g"))
            frames_axis(axes)
            handles |= dict(reversed(pair) for pair in zip(*axes.get_legend_handles_labels()))
        names = [*(group.name for group in groups), "human", "random"]
        labels = [name for name in names if name in handles]
        # As many beside each other as the width holds; a row more needs more height.
        columns_wide = int(figure.get_figwidth() / (0.6 + 0.08 * max(map(len, labels))))
        ncols = max(1, min(5, columns_wide))
        extra = math.ceil(len(labels) / ncols) - 1
        figure.set_figheight(figure.get_figheight() + 0.18 * extra)
        figure.legend(
            [handles[name] for name in labels], labels, loc="outside upper center", ncols=ncols
        )
        seeds = {curve.seeds for curves in by_game.values() for curve in curves if curve}
        spread = f"mean and {BANDS[band]} over seeds" if seeds != {1} else "one seed each"
        figure.supxlabel(f"Environment frames ({spread})", fontsize=8)
        figure.supylabel("Score", fontsize=8)
    return figure


def _references(axes: Axes, game: str) -> None:
    """Draws human and random scores; a human score far above the curves only as a number."""
    random, human = games.references(game)
    if not np.isfinite(human):
        return
    low, high = axes.get_ylim()
    axes.axhline(random, color=GREY, linewidth=0.9, linestyle=":", label="random")
    if human <= high + 0.6 * (high - low):
        axes.axhline(human, color=GREY, linewidth=0.9, linestyle="--", label="human")
    else:
        note = f"human {thousands(human, '.3g')} ↑"
        axes.text(0.03, 0.97, note, transform=axes.transAxes, va="top", fontsize=6.5, color=GREY)


def bars(table: Table) -> Figure:
    """Draws the aggregates of every column with their intervals, as the paper's Fig. 7.

    Raises:
      UserError: no game of the table has a human score.
    """
    if not table.rated:
        raise UserError("nothing to draw: aggregates need games with a human score")
    names = [column.name for column in table.columns]
    with styled():
        figure = new_figure(7.2, 1.1 + 0.3 * len(names))
        for axes, (key, title) in zip(figure.subplots(1, len(TITLES), sharey=True), TITLES.items()):
            _bars(axes, [table.entries[key, name].estimate for name in names])
            better = "lower is better" if key == "optimality_gap" else "higher is better"
            axes.set_title(f"{title}\n({better})", fontsize=7.5)
            axes.set_xlabel("1 − score" if key == "optimality_gap" else "Score", fontsize=7)
        figure.axes[0].set_yticks(range(len(names)), names)
        figure.axes[0].set_ylabel("Method")
        figure.axes[0].invert_yaxis()
        figure.supxlabel("Human-normalised (lines: 95% bootstrap interval)", fontsize=8)
    return figure


def _bars(axes: Axes, estimates: Sequence[Any]) -> None:
    """Draws one aggregate of every column; the axis holds every interval, below 0, too."""
    ends = [0.0]
    for place, estimate in enumerate(estimates):
        if not np.isfinite(estimate.value):
            axes.text(0, place, " needs single runs", va="center", fontsize=6, color=GREY)
            continue
        color = COLORS[place % len(COLORS)]
        axes.barh(place, estimate.value, color=color, alpha=0.85, height=0.62)
        end = max(estimate.value, 0.0)
        ends.append(estimate.value)
        if np.isfinite(estimate.low):
            span = [estimate.low, estimate.high]
            axes.plot(span, [place] * 2, color="white", linewidth=3)  # seen on any bar
            axes.plot(span, [place] * 2, color="black", linewidth=1.2)
            end = max(end, estimate.high)
            ends += span
        axes.text(end, place, f" {estimate.value:.2f}", va="center", fontsize=7)
    low, high = min(ends), max(ends)
    axes.set_xlim(1.1 * low, (high + 0.3 * (high - low)) or 1)
    if low < 0:
        axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(False, axis="y")
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(labelsize=7)


def profiles(columns: Sequence[Column]) -> Figure:
    """Draws the share of runs above each human-normalised score."""
    curves = {c.name: None if c.published else profile(c) for c in columns}
    axis = "Human-normalised score τ", "Share of runs with score > τ"
    return _single(curves, *axis, every=10, top=1)


def efficiencies(
    groups: Sequence[Group], columns: Sequence[Column], frames: float | None
) -> Figure:
    """Draws the interquartile mean over training."""
    curves = {c.name: efficiency(g, c, frames) if g.runs else None for g, c in zip(groups, columns)}
    figure = _single(curves, "Environment frames", "IQM of human-normalised scores", every=2)
    frames_axis(figure.axes[0])
    return figure


def _single(
    curves: Mapping[str, Curve | None], x: str, y: str, every: int, top: float | None = None
) -> Figure:
    """Draws one panel; `x` gets what the bands are, where there are several seeds."""
    if not any(curves.values()):
        raise UserError("nothing to draw: this needs scores per seed of games with a human score")
    with styled():
        figure = new_figure(4.6, 3.2)
        axes = figure.subplots()
        for index, (name, curve) in enumerate(curves.items()):
            if curve is not None:
                _draw(axes, curve, index, name, every)
        bands = any(curve and curve.seeds > 1 for curve in curves.values())
        axes.set_xlabel(f"{x} (bands: 95% bootstrap interval)" if bands else x)
        axes.set_ylabel(y)
        axes.set_xlim(0)
        axes.set_ylim(0 if top else None, top)
        axes.legend()
    return figure
