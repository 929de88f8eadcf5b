"""Protocols: how the points of a run become its one score, and runs a `[runs, tasks]` array."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from embodied.core.errors import UserError, nearest
from scores import games
from scores.budgets import budgets, slack
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
REACHED = 0.9
REACHED_BY_EPISODES = 0.7
FEW_EPISODES = 10

FLAGS: Mapping[str, str] = {
    "few-episodes": f"fewer than {FEW_EPISODES} episodes behind the score",
    "few-seeds": "fewer seeds than other games of the column",
    "biased": "highest of several evaluations",
}


@dataclasses.dataclass(frozen=True)
class Column:
    """Scores of one method: `[runs, tasks]`, NaN where there is none.

    Attributes:
      name: heading.
      protocol: how the scores were made; see `PROTOCOLS`.
      games: T canonical names: the 26 in the paper's order, then others.
      seeds: R row names.
      scores: `[R, T]` raw scores; a published column has one row, its means.
      episodes: `[R, T]` episodes behind each, 0 where there is no score, UNKNOWN if not told.
      budgets: frames at which each game was scored; see `budgets.budgets`.
      published: the published column, or None for measured scores.
      notes: what a reader of the column must know.
    """

    name: str
    protocol: str
    games: Sequence[str]
    seeds: Sequence[int | str]
    scores: np.ndarray
    episodes: np.ndarray
    budgets: Mapping[str, float] = dataclasses.field(default_factory=dict)
    published: Published | None = None
    notes: Sequence[str] = ()

    def of(self, game: str) -> np.ndarray:
        """Returns the scores of one game, without missing seeds: `[n]`."""
        if game not in self.games:
            return np.zeros(0)
        scores = self.scores[:, list(self.games).index(game)]
        return scores[np.isfinite(scores)]

    def select(self, names: Sequence[str]) -> np.ndarray:
        """Returns `[R, len(names)]` scores, NaN for games that the column lacks."""
        place = {game: index for index, game in enumerate(self.games)}
        blank = np.full((len(self.scores), 1), np.nan)
        padded = np.concatenate([self.scores, blank], axis=1)
        return padded[:, [place.get(name, -1) for name in names]]

    def flags(self, game: str) -> tuple[str, ...]:
        """Returns the names (see `FLAGS`) of what is doubtful about a game's score."""
        if self.published or not len(self.of(game)):
            return ()
        counts = self.episodes[:, list(self.games).index(game)]
        names = []
        if (counts != UNKNOWN).all() and counts.sum() < FEW_EPISODES:
            names.append("few-episodes")
        if len(self.of(game)) < np.isfinite(self.scores).sum(0).max():
            names.append("few-seeds")
        if self.protocol == "best-eval":
            names.append("biased")
        return tuple(names)


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
    return [
        _published(group.name, group.published, limits)
        if group.published
        else _measured(group, protocol, limits, unfinished)
        for group in groups
    ]


def _published(name: str, source: Published, limits: Mapping[str, float]) -> Column:
    scores = np.array([list(source.scores.values())], np.float64)
    unknown = np.full(scores.shape, UNKNOWN)
    notes = [source.source] if source.source else []
    return Column(
        name, source.protocol, list(source.scores), [0], scores, unknown, limits, source, notes
    )


def _measured(
    group: Group, protocol: str | None, limits: Mapping[str, float], unfinished: bool
) -> Column:
    evaluated = any(len(run.evals) for run in group.runs)
    chosen = protocol or ("final-eval" if evaluated else "train-window")
    present = {run.game for run in group.runs}
    names = [game for game in games.atari100k() if game in present]
    names += sorted(present - set(names))
    seeds = sorted({run.seed for run in group.runs}, key=lambda seed: (str(type(seed)), seed))
    scores = np.full((len(seeds), len(names)), np.nan)
    episodes = np.zeros(scores.shape, np.int64)
    remarks: dict[str, dict[str, list]] = {}  # remark -> game -> seeds
    row = {seed: index for index, seed in enumerate(seeds)}
    place = {game: index for index, game in enumerate(names)}
    binned = False
    for run in group.runs:
        points, remark = _points(run, chosen, limits.get(run.game, 0.0), unfinished)
        if remark:
            remarks.setdefault(remark, {}).setdefault(run.game, []).append(run.seed)
        if len(points):
            where = row[run.seed], place[run.game]
            scores[where] = points.scores.mean()
            known = (points.episodes != UNKNOWN).all()
            episodes[where] = points.episodes.sum() if known else UNKNOWN
            binned |= "eval" not in chosen and not known
    notes = []
    for remark, runs in remarks.items():
        listed = (f"{games.title(game)} ({_listed(numbers)})" for game, numbers in runs.items())
        notes.append(f"{remark}: {', '.join(listed)}")
    if any("no score, stops" in remark for remark in remarks):
        notes.append("--frames N scores every run at N frames, --allow-unfinished where it stands")
    if binned:
        notes.append("bins of training episodes: their number is not known")
    notes += _cut(group, limits)
    return Column(group.name, chosen, names, seeds, scores, episodes, limits, notes=notes)


def _cut(group: Group, limits: Mapping[str, float]) -> list[str]:
    """Says which runs are scored long before their end, outside of Atari 100K."""
    ends: dict[tuple[float, float], dict[str, None]] = {}
    for run in group.runs:
        frame = limits.get(run.game, 0.0)
        atari = run.game in games.atari100k() and run.reach <= 2 * frame
        if run.reach * REACHED > frame and not atari:
            ends.setdefault((run.reach, frame), {})[games.title(run.game)] = None
    return [
        f"runs of {reach:,.0f} frames scored at {frame:,.0f}: {', '.join(titles)}"
        for (reach, frame), titles in ends.items()
    ][:10]


def _listed(seeds: Sequence[int | str]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(str(seed) for seed in seeds)}"


def _points(run: Run, protocol: str, frame: float, unfinished: bool) -> tuple[Series, str]:
    """Returns the points whose mean is a run's score, none if it has no score, and a remark."""
    last = slice(-1, None)
    if "eval" in protocol:
        points = run.evals if run.final else run.evals.upto(frame + slack(run, frame))
        reached, absent = REACHED, "no evaluation"
    else:
        points = run.trains if run.final else run.trains.upto(frame)
        reached = 0.0 if protocol == "train-window" else REACHED_BY_EPISODES
        absent = "no training episode in the window"
    if not len(points) or run.final:
        return points, "" if len(points) else f"no score, {absent}"
    end = float(points.frames[-1])
    where = f"at {end:,.0f} of {frame:,.0f} frames"
    remark = ""
    if end < reached * frame:
        if not unfinished:
            return points.take(slice(0)), f"no score, stops {where}"
        remark = f"unfinished, stops {where}"
    if protocol == "best-eval":
        best = int(points.scores.argmax())
        return points.take(slice(best, best + 1)), remark
    if protocol == "final-eval":
        early = end < frame - slack(run, frame) and not remark
        return points.take(last), f"the last evaluation is {where}" if early else remark
    if protocol == "last-episode":
        return points.take(last), remark
    width = WINDOW if protocol == "train-window" else 0.1 * frame
    window = points.upto(frame, after=frame - width)
    if len(window):
        return window, remark
    if protocol == "window-10%":
        return points.take(last), remark or "no training episode in the window, used is the last"
    if run.width > WINDOW and end >= frame - run.width:
        # A bin that is wider than the window and ends less than its width before the budget.
        return points.take(last), f"bins of {run.width:,.0f} frames, used is the last"
    if unfinished:
        return points.upto(end, after=end - width), f"unfinished, stops {where}"
    return window, f"no score, {absent}"
