"""Protocols: how the points of a run become its one score, and runs a `[runs, tasks]` array."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from embodied.core.errors import UserError, nearest
from scores import games
from scores.budgets import REACHED, budgets, slack
from scores.games import Published
from scores.load import Group
from scores.records import UNKNOWN, Run, Series

PROTOCOLS: Mapping[str, str] = {
    "final-eval": "last evaluation, mean of its episodes (the paper's)",
    "train-window": "training episodes of the last 10K frames (upstream's habit)",
    "best-eval": "highest evaluation: BIASED upwards, picks the luckiest moment of each run",
}
REDUCTIONS: Mapping[str, str] = {
    **PROTOCOLS,
    "last-episode": "last training episode",
    "window-10%": "training episodes of the last 10% of the budget; where none ended, the last one",
}
# Names under which others know them.
ALIASES: Mapping[str, str] = {"last-eval": "final-eval", "best": "best-eval"}
WINDOW = 10_000  # frames of 'train-window'
# Of the budget: a run that stops earlier is not finished. The last training episode of a finished
# one ends up to 108K frames before the budget of Atari 100K.
SHARES = {"final-eval": REACHED, "best-eval": REACHED, "last-episode": 0.7, "window-10%": 0.7}
FEW_EPISODES = 10

FLAGS: Mapping[str, str] = {
    "few-episodes": f"fewer than {FEW_EPISODES} episodes behind the score",
    "few-seeds": "fewer seeds than other games of the column",
    "biased": "highest of several evaluations",
}


@dataclasses.dataclass(frozen=True)
class Column:
    """Scores of one method: `[runs, tasks]`, NaN where there is none."""

    name: str  # heading
    protocol: str  # how the scores were made; see `REDUCTIONS`
    games: Sequence[str]  # T canonical names: the 26 in the paper's order, then others
    seeds: Sequence[int | str]  # R row names
    scores: np.ndarray  # `[R, T]` raw scores; a published column has one row, its means
    # `[R, T]` episodes behind each, 0 where there is no score, UNKNOWN if not told.
    episodes: np.ndarray
    # Frames at which each game was scored; see `budgets.budgets`.
    budgets: Mapping[str, float] = dataclasses.field(default_factory=dict)
    published: Published | None = None  # the published column, or None for measured scores
    notes: Sequence[str] = ()  # what a reader of the column must know

    def of(self, game: str) -> np.ndarray:
        """Returns the scores of one game, without missing seeds: `[n]`."""
        scores = self.select([game])[:, 0]
        return scores[np.isfinite(scores)]

    def select(self, names: Sequence[str]) -> np.ndarray:
        """Returns `[R, len(names)]` scores, NaN for games that the column lacks."""
        place = {game: index for index, game in enumerate(self.games)}
        wide = np.pad(self.scores, ((0, 0), (0, 1)), constant_values=np.nan)
        return wide[:, [place.get(name, -1) for name in names]]

    def flags(self, game: str) -> tuple[str, ...]:
        """Returns the names (see `FLAGS`) of what is doubtful about a game's score."""
        if self.published or not len(self.of(game)):
            return ()
        counts = self.episodes[:, list(self.games).index(game)]
        doubts = {
            "few-episodes": bool((counts != UNKNOWN).all()) and counts.sum() < FEW_EPISODES,
            "few-seeds": len(self.of(game)) < np.isfinite(self.scores).sum(0).max(),
            "biased": self.protocol == "best-eval",
        }
        return tuple(name for name, doubt in doubts.items() if doubt)


def columns(
    groups: Sequence[Group],
    protocol: str | None = None,
    frames: float | None = None,
    unfinished: bool = False,
) -> list[Column]:
    """Scores groups of runs, all at the same frames (see `budgets`).

    Args:
      groups: what `load` returned.
      protocol: of `REDUCTIONS` or `ALIASES`; None: final-eval, and train-window for a group that
        has no evaluation at all (its column says so).
      frames: the budget to score at; None: that of `budgets.budgets`.
      unfinished: whether runs that have not reached it are scored where they stand.

    Raises:
      UserError: unknown protocol.
    """
    protocol = ALIASES.get(protocol or "", protocol)
    if protocol is not None and protocol not in REDUCTIONS:
        known = ", ".join(REDUCTIONS)
        raise UserError(f"no protocol {protocol!r}; known: {known}{nearest(protocol, REDUCTIONS)}")
    limits = budgets(groups, frames)
    result = []
    for group in groups:
        if (source := group.published) is None:
            evaluated = any(len(run.evals) for run in group.runs)
            name = protocol or ("final-eval" if evaluated else "train-window")
            result.append(_measured(group, name, limits, unfinished))
        else:
            scores = np.array([list(source.scores.values())], np.float64)
            what = source.protocol, list(source.scores), [0], scores, np.full(scores.shape, UNKNOWN)
            notes = [source.source] if source.source else []
            result.append(Column(group.name, *what, limits, source, notes))
    return result


def _measured(group: Group, protocol: str, limits: Mapping[str, float], unfinished: bool) -> Column:
    present = {run.game for run in group.runs}
    names = [game for game in games.atari100k() if game in present]
    names += sorted(present - set(names))
    seeds = sorted({run.seed for run in group.runs}, key=lambda seed: (str(type(seed)), seed))
    scores = np.full((len(seeds), len(names)), np.nan)
    episodes = np.zeros(scores.shape, np.int64)
    remarks: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    binned = False
    for run in group.runs:
        points, remark = _points(run, protocol, limits.get(run.game, 0.0), unfinished)
        if remark:
            remarks[remark][run.game].append(run.seed)
        if len(points):
            where = seeds.index(run.seed), names.index(run.game)
            scores[where] = points.scores.mean()
            known = (points.episodes != UNKNOWN).all()
            episodes[where] = points.episodes.sum() if known else UNKNOWN
            binned |= "eval" not in protocol and not known
    notes = []
    for remark, runs in remarks.items():
        all_of_them = sum(map(len, runs.values())) == len(group.runs) > 1
        notes.append(f"{remark}: {'all runs' if all_of_them else _listed(runs)}")
    if any("no score, stops" in remark for remark in remarks):
        notes.append("--frames N scores every run at N frames, --allow-unfinished where it stands")
    if binned:
        notes.append("bins of training episodes: their number is not known")
    if any(run.final for run in group.runs):
        notes.append("final scores; at which frames and how they were made is not told")
    notes += _cut(group, limits)
    return Column(group.name, protocol, names, seeds, scores, episodes, limits, notes=notes)


def _listed(runs: Mapping[str, Sequence[int | str]]) -> str:
    """Lists runs: `Pong (seed 1), Hero (seeds 0, 2)`."""
    return ", ".join(
        f"{games.title(game)} (seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))})"
        for game, seeds in runs.items()
    )


def _cut(group: Group, limits: Mapping[str, float]) -> list[str]:
    """Says which runs are scored long before their end, but for somewhat long ones of Atari."""
    ends: dict[tuple[float, float], dict[str, None]] = defaultdict(dict)
    for run in group.runs:
        frame = limits.get(run.game, 0.0)
        atari = run.game in games.atari100k() and run.reach <= 2 * frame
        if run.reach * REACHED > frame and not atari:
            ends[run.reach, frame][games.title(run.game)] = None
    return [
        f"runs of {reach:,.0f} frames scored at {frame:,.0f}: {', '.join(titles)}"
        for (reach, frame), titles in ends.items()
    ][:10]


def _points(run: Run, protocol: str, frame: float, unfinished: bool) -> tuple[Series, str]:
    """Returns the points whose mean is a run's score, none if it has no score, and a remark."""
    evaluated = "eval" in protocol
    late = slack(run, frame)
    points = run.evals if evaluated else run.trains
    if not run.final:
        points = points.upto(frame + late if evaluated else frame)
    absent = "no evaluation" if evaluated else "no training episode in the window"
    if not len(points) or run.final:
        return points, "" if len(points) else f"no score, {absent}"
    last, nothing = points.take(slice(-1, None)), points.take(slice(0))
    end = float(points.frames[-1])
    where = f"at {end:,.0f} of {frame:,.0f} frames"
    remark = ""
    if end < SHARES.get(protocol, 0.0) * frame:
        if not unfinished:
            return nothing, f"no score, stops {where}"
        remark = f"unfinished, stops {where}"
    if protocol == "best-eval":
        best = int(points.scores.argmax())
        return points.take(slice(best, best + 1)), remark
    if protocol == "final-eval":
        early = end < frame - late and not remark
        return last, f"the last evaluation is {where}" if early else remark
    if protocol == "last-episode":
        return last, remark
    width = WINDOW if protocol == "train-window" else 0.1 * frame
    window = points.upto(frame, after=frame - width)
    if len(window):
        return window, remark
    if protocol == "window-10%":
        return last, remark or "no training episode in the window, used is the last"
    if run.width > WINDOW and end >= frame - run.width:
        # A bin that is wider than the window and ends less than its width before the budget.
        return last, f"bins of {run.width:,.0f} frames, used is the last"
    if unfinished:
        return points.upto(end, after=end - width), f"unfinished, stops {where}"
    return nothing, f"no score, {f'stops {where}' if end < REACHED * frame else absent}"
