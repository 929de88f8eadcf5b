"""Budgets: the frames at which the runs of a table are scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scores import games
from scores.load import Group
from scores.records import Run

REACHED = 0.9  # of a length: a run whose last evaluation is earlier is not finished
LONG = 2.0  # times the budget of Atari 100K: upstream's runs go to 1.1 and 1.5 times of it


def budgets(groups: Sequence[Group], frames: float | None = None) -> dict[str, float]:
    """Returns the frames at which each game is scored, the same for all groups.

    A group's length is what its configs plan (of finished runs that plan different ones: the
    least) or, where none tells, the last point of its longest run. A game's budget is the smallest
    length of all groups that have it. The 26 games are Atari 100K, 400K frames, unless every group
    goes on for more than `LONG` times of that.

    Args:
      groups: what `load.load` returned.
      frames: the same for every game, if given.

    Returns:
      By game; games with final scores only have none.
    """
    if frames is not None:
        names = {run.game for group in groups for run in group.runs}
        return dict.fromkeys([*games.atari100k(), *names], float(frames))
    lengths = [length for length in map(_lengths, groups) if length]
    rated = [
        max(length[game] for game in games.atari100k() if game in length)
        for length in lengths
        if length.keys() & set(games.atari100k())
    ]
    titles = [group.published.title for group in groups if group.published]
    short = not {"Human", "Random"}.issuperset(titles) or (
        min(rated, default=0) <= LONG * games.budget()
    )
    smallest: dict[str, float] = {}
    for length in lengths:
        for game, reach in length.items():
            smallest[game] = min(reach, smallest.get(game, reach))
    return smallest | (dict.fromkeys(games.atari100k(), float(games.budget())) if short else {})


def _lengths(group: Group) -> dict[str, float]:
    """Returns the length of each game's runs: the shortest that its own config calls finished.

    Where no config tells, or none is finished, that of the longest.
    """
    finished: dict[str, float] = {}
    longest: dict[str, float] = {}
    for run in group.runs:
        length = run.length or run.reach
        if length:
            longest[run.game] = max(length, longest.get(run.game, 0.0))
        if run.length and run.reach >= REACHED * run.length:
            finished[run.game] = min(run.length, finished.get(run.game, run.length))
    return longest | finished


def slack(run: Run, frame: float) -> float:
    """Returns the frames by which a run's last evaluation may lie beyond a budget and count.

    One round of its environments, as their number need not divide the budget, or 0.2% of it.
    """
    return max(run.overshoot, 0.002 * frame)


def title(names: Sequence[str], frames: Mapping[str, float]) -> str:
    """Returns the head of a table of games: of which benchmark, at which of the `budgets`."""
    rated = [game for game in names if game in games.atari100k()]
    others = _span([frames[game] for game in names if game not in rated and game in frames])
    if not rated:
        return f"Scores{others and ' at ' + others}"
    span = _span([frames[game] for game in rated if game in frames])
    known = "Atari 100K" if span == _span([games.budget()]) else f"Atari at {span}"
    return known + (f"; other games at {others}" if others else "")


def _span(frames: Sequence[float]) -> str:
    low, high = min(frames, default=0), max(frames, default=0)
    if not high:
        return ""
    return f"{high:,.0f} frames" if low == high else f"{low:,.0f} to {high:,.0f} frames by game"
