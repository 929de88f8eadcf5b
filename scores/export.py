"""Our scores in upstream's formats, for their plotting scripts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence

import numpy as np

from embodied.core.errors import UserError
from scores import games
from scores.load import Group
from scores.records import Problem


def upstream(groups: Sequence[Group]) -> tuple[bytes, list[Problem]]:
    """Makes upstream's `scores.json.gz`: the training episodes of every run.

    Returns:
      Gzip of a JSON list of {task, method, seed, xs, ys}, xs in frames; the same bytes for the
      same scores. And the runs without training episodes, left out.
    """
    entries, problems = [], []
    for run in (run for group in groups for run in group.runs):
        if not len(run.trains):
            problems.append(Problem(run.path, f"{run.game}: no training episodes to export"))
            continue
        task = f"atari_{run.game}" if run.game in games.atari100k() else run.game
        points = {"xs": _numbers(run.trains.frames), "ys": _numbers(run.trains.scores)}
        entries.append({"task": task, "method": run.method, "seed": run.seed} | points)
    return gzip.compress(json.dumps(entries).encode(), mtime=0), problems


def harmonydream(groups: Sequence[Group]) -> tuple[bytes, list[Problem]]:
    """Makes HarmonyDream's `{steps, score: {game: [seed][step]}}`: the evaluations of a method.

    Returns:
      JSON, and the runs whose evaluations are at other frames than the first run's, left out.

    Raises:
      UserError: not exactly one method.
    """
    sources = [group for group in groups if group.runs]
    if len(sources) != 1:
        names = ", ".join(group.name for group in sources)
        raise UserError(f"this format holds one method, but the sources hold: {names or 'none'}")
    runs = sorted(sources[0].runs, key=lambda run: (run.game, str(run.seed)))
    steps = next((run.evals.frames for run in runs if len(run.evals)), np.zeros(0))
    score: dict[str, list] = {}
    problems = []
    for run in runs:
        if len(run.evals) and np.array_equal(run.evals.frames, steps):
            name = games.title(run.game).lower().replace(" ", "_")
            score.setdefault(name, []).append(_numbers(run.evals.scores))
        else:
            reason = f"{run.game} seed {run.seed}: evaluated at other frames"
            problems.append(Problem(run.path, reason))
    return json.dumps({"steps": _numbers(steps), "score": score}).encode(), problems


FORMATS: dict[str, Callable[[Sequence[Group]], tuple[bytes, list[Problem]]]] = {
    "upstream": upstream,
    "harmonydream": harmonydream,
}
NAMES = {"upstream": "scores.json.gz", "harmonydream": "scores.json"}


def _numbers(values: np.ndarray) -> list[int | float]:
    """Returns plain numbers, whole ones as integers, as upstream writes them."""
    return [int(value) if value.is_integer() else value for value in values.tolist()]
