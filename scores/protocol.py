"""Protocols: how the points of a run become its one score, and runs a `[runs, tasks]` array."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from embodied.core.errors import UserError, nearest
from scores import games
from scores.games import Published
from scores.load import Group
from scores.records import UNKNOWN, Run, Series

PROTOCOLS: Mapping[str, str] = {
    "final-eval": "last evaluation, mean of its episodes (the paper's)",
    "train-window": "training episodes of the last 10K frames (upstream's habit)",
    "best-eval": "highest evaluation: BIASED upwards, picks the luckiest moment of each run",
}
WINDOW = 10_000  # frames of 'train-window'
REACHED = 0.9  # of the budget: a run whose last evaluation is earlier has no score yet
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
      published: the published column, or None for measured scores.
      notes: what a reader of the column must know.
    """

    name: str
    protocol: str
    games: Sequence[str]
    seeds: Sequence[int | str]
    scores: np.ndarray
    episodes: np.ndarray
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
        found = []
        if (counts != UNKNOWN).all() and counts.sum() < FEW_EPISODES:
            found.append("few-episodes")
        if len(self.of(game)) < np.isfinite(self.scores).sum(0).max():
            found.append("few-seeds")
        if self.protocol == "best-eval":
            found.append("biased")
        return tuple(found)


def columns(
    groups: Sequence[Group], protocol: str | None = None, frames: float | None = None
) -> list[Column]:
    """Scores groups of runs.

    Args:
      groups: what `load` returned.
      protocol: of `PROTOCOLS`; None: final-eval, and train-window for a group that has no
        evaluation at all (its column says so).
      frames: the budget to score at; None: 400K for Atari games, all of a run for others.

    Raises:
      UserError: unknown protocol.
    """
    if protocol is not None and protocol not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise UserError(f"no protocol {protocol!r}; known: {known}{nearest(protocol, PROTOCOLS)}")
    return [
        _published(group.name, group.published)
        if group.published
        else _measured(group, protocol, frames)
        for group in groups
    ]


def limit(run: Run, frames: float | None) -> float:
    """Returns the frame at which a run is scored."""
    if frames is not None:
        return frames
    if run.game in games.atari100k():
        return games.budget()
    return max([*run.evals.frames[-1:], *run.trains.frames[-1:]], default=0.0)


def _published(name: str, source: Published) -> Column:
    scores = np.array([list(source.scores.values())], np.float64)
    unknown = np.full(scores.shape, UNKNOWN)
    return Column(name, source.protocol, list(source.scores), [0], scores, unknown, source)


def _measured(group: Group, protocol: str | None, frames: float | None) -> Column:
    evaluated = any(len(run.evals) for run in group.runs)
    chosen = protocol or ("final-eval" if evaluated else "train-window")
    present = {run.game for run in group.runs}
    names = [game for game in games.atari100k() if game in present]
    names += sorted(present - set(names))
    seeds = sorted({run.seed for run in group.runs}, key=lambda seed: (str(type(seed)), seed))
    scores = np.full((len(seeds), len(names)), np.nan)
    episodes = np.zeros(scores.shape, np.int64)
    late: dict[str, dict[str, list]] = {}
    binned = False
    row = {seed: index for index, seed in enumerate(seeds)}
    place = {game: index for index, game in enumerate(names)}
    for run in group.runs:
        where = row[run.seed], place[run.game]
        points, reason = _score(run, chosen, limit(run, frames))
        if reason:
            late.setdefault(reason, {}).setdefault(run.game, []).append(run.seed)
            continue
        scores[where] = points.scores.mean()
        counts = points.episodes
        binned |= chosen == "train-window" and bool((counts == UNKNOWN).any())
        episodes[where] = UNKNOWN if (counts == UNKNOWN).any() else counts.sum()
    notes = []
    for reason, found in late.items():
        runs = (f"{games.title(game)} ({_listed(numbers)})" for game, numbers in found.items())
        notes.append(f"no score, {reason}: {', '.join(runs)}")
    if any(reason.startswith("stops") for reason in late):
        notes.append("--frames N scores every run at N frames")
    if binned:
        notes.append("bins of training episodes: their number is not known")
    return Column(group.name, chosen, names, seeds, scores, episodes, notes=notes)


def _listed(seeds: Sequence[int | str]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(str(seed) for seed in seeds)}"


def _score(run: Run, protocol: str, frame: float) -> tuple[Series, str]:
    """Returns the points whose mean is the run's score, or why it has none."""
    if protocol == "train-window":
        points = run.trains.upto(frame, after=frame - WINDOW)
        return points, "" if len(points) else "no training episode in the window"
    points = run.evals.upto(frame)
    if not len(points):
        return points, "no evaluation"
    if points.frames[-1] < REACHED * frame:
        return points, f"stops at {points.frames[-1]:,.0f} of {frame:,.0f} frames"
    best = int(points.scores.argmax()) if protocol == "best-eval" else len(points) - 1
    only = slice(best, best + 1)
    return Series(points.frames[only], points.scores[only], points.episodes[only]), ""
