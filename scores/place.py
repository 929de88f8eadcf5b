"""Where a run lies among the seeds of other curves: inside, above or below all of them."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from embodied.core.errors import UserError
from scores import games
from scores.grid import Cell, Grid, number
from scores.load import Group
from scores.records import UNKNOWN, Run
from scores.style import GREY, fold, frames_axis, look, new_figure, panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INSIDE, ABOVE, BELOW, NOWHERE = "inside", "above", "below", ""


@dataclasses.dataclass(frozen=True)
class Point:
    """One evaluation of a run, among seeds at the same frame.

    Attributes:
      frame: environment frames.
      score: mean over the episodes of the evaluation.
      episodes: their number, or UNKNOWN.
      low, mean, high: of the seeds' scores there; NaN where not every seed reaches.
      where: `inside` ([low, high]), `above`, `below`, or empty where seeds are lacking.
    """

    frame: float
    score: float
    episodes: int
    low: float
    mean: float
    high: float
    where: str


@dataclasses.dataclass(frozen=True)
class Placement:
    """A run and its points."""

    run: Run
    method: str  # the name of its group
    name: str  # of the seeds' group
    seeds: tuple[Run, ...]
    points: tuple[Point, ...]

    @property
    def sentence(self) -> str:
        """What the points say, in words."""
        count = Counter(point.where for point in self.points)
        total = len(self.points) - count[NOWHERE]
        places = ", ".join(f"{where} at {count[where]}" for where in (INSIDE, ABOVE, BELOW))
        k = len(self.seeds)
        beyond = f"; {count[NOWHERE]} more beyond their frames" if count[NOWHERE] else ""
        return (
            f"{self.method}, {games.title(self.run.game)}, seed {self.run.seed}, among the "
            f"{k} seeds of {self.name}: {places} of {total} evaluations{beyond}. One more seed of "
            f"the same kind is expected to be inside at {(k - 1) / (k + 1):.0%} of them; "
            "evaluations of one run are not independent."
        )


def place(groups: Sequence[Group], among: Group) -> list[Placement]:
    """Places the runs of groups among the seeds of another one, game by game.

    A seed that has no point at the frame of an evaluation counts with the straight line between
    its neighbouring points.

    Args:
      groups: of the runs to place; those without evaluations are left out.
      among: with curves of several seeds.

    Raises:
      UserError: when no run has an evaluation, or there are no seeds of its game.
    """
    if among.published:
        raise UserError(f"{among.name} has final scores only; placing a run needs curves of seeds")
    runs = [(group.name, run) for group in groups for run in group.runs if len(run.evals)]
    if not runs:
        raise UserError("no run has an evaluation yet: nothing to place")
    placements = []
    for method, run in runs:
        seeds = tuple(each for each in among.runs if each.game == run.game and len(each.curve))
        if seeds:
            placements.append(Placement(run, method, among.name, seeds, _points(run, seeds)))
    if not placements:
        wanted = ", ".join(sorted({games.title(run.game) for _, run in runs}))
        raise UserError(f"{among.name} has no curve of {wanted}")
    return placements


def _points(run: Run, seeds: Sequence[Run]) -> tuple[Point, ...]:
    points = []
    evals = run.evals
    for index, there in enumerate(_at(evals.frames, seeds).T):
        score = float(evals.scores[index])
        low, mean, high = float(there.min()), float(there.mean()), float(there.max())
        where = BELOW if score < low else ABOVE if score > high else INSIDE
        if math.isnan(low):  # as a seed has no score there
            where = NOWHERE
        own = float(evals.frames[index]), score, int(evals.episodes[index])
        points.append(Point(*own, low, mean, high, where))
    return tuple(points)


def _at(frames: np.ndarray, seeds: Sequence[Run]) -> np.ndarray:
    """Returns the seeds' scores at frames, `[S, P]`; NaN beyond a seed's own."""
    curves = [seed.curve for seed in seeds]
    return np.stack(
        [np.interp(frames, c.frames, c.scores, left=np.nan, right=np.nan) for c in curves]
    )


def grid(placement: Placement) -> Grid:
    """Lays out a table of a run's evaluations, with the sentence below."""
    mean = f"Mean of {len(placement.seeds)}"
    header = ["Frames", "Score", "Episodes", "Lowest", mean, "Highest", "Run is"]
    rows = [
        [
            Cell(f"{point.frame:,.0f}"),
            Cell(number(point.score)),
            Cell("–" if point.episodes == UNKNOWN else str(point.episodes)),
            *(Cell(number(value)) for value in (point.low, point.mean, point.high)),
            Cell(point.where or "–"),
        ]
        for point in placement.points
    ]
    run = placement.run
    title = f"{placement.method} seed {run.seed} on {games.title(run.game)}, among {placement.name}"
    return Grid(title, header, [rows], [placement.sentence])


def records(placements: Sequence[Placement]) -> list[dict[str, Any]]:
    """Returns a record for each evaluation."""
    return [
        {"method": each.method, "game": each.run.game, "seed": each.run.seed, "among": each.name}
        | {k: None if v != v else v for k, v in dataclasses.asdict(point).items()}
        for each in placements
        for point in each.points
    ]


def figure(placements: Sequence[Placement]) -> Figure:
    """Draws a panel a game: the seeds thin with the band between them, the runs over it."""
    names = list(dict.fromkeys(each.run.game for each in placements))
    across = min(3, len(names))
    down = math.ceil(len(names) / across)
    with styled():
        drawing = new_figure(4.6 if across == 1 else 3.2 * across, 3.0 * down + 0.3)
        for axes, game in zip(panels(drawing, down, across, len(names)), names):
            here = [each for each in placements if each.run.game == game]
            seeds = here[0].seeds
            for curve in (seed.curve for seed in seeds):
                axes.plot(curve.frames, curve.scores, color=GREY, linewidth=0.7, alpha=0.7)
            frames = np.unique(np.concatenate([seed.curve.frames for seed in seeds]))
            low, high = _at(frames, seeds).min(0), _at(frames, seeds).max(0)
            label = f"{here[0].name}: {len(seeds)} seeds"
            axes.fill_between(frames, low, high, color=GREY, alpha=0.18, linewidth=0, label=label)
            for index, each in enumerate(here):
                curve, name = each.run.evals, f"{each.method} seed {each.run.seed}"
                axes.plot(curve.frames, curve.scores, label=name, markersize=3, **look(index))
            axes.set_title(fold(games.title(game)))
            axes.set_xlabel("Environment frames")
            axes.set_ylabel("Score of evaluations")
            frames_axis(axes)
            axes.legend(fontsize=7)
    return drawing
