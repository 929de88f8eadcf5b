"""How a sweep stands, for the verb `sweep --status`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from embodied.core.errors import UserError

RESAMPLES = 500  # Of the intervals, which are to be there soon.


def show_status(root: Path, url: str | None, watch: bool, interval: float) -> int:
    """Prints how a sweep stands, once, or every `interval` seconds until it has nothing left to do.

    `url` is that of its storage, where the folder is new; else the plan tells.
    """
    from sweeps import plan as plans
    from sweeps import states, status

    if interval <= 0:
        raise UserError(f"--interval must be above 0 seconds, got {interval}")

    while True:
        plan = plans.load(root)
        url = plan.storage if plan else url
        if url:
            from embodied.checkpoint.storage import Storage
            from sweeps.remote import refresh

            refresh(Storage(url), root)
            plan = plans.load(root)
        if plan is None:
            raise UserError(f"{root} holds no sweep: it has no {plans.FOLDER}/plan.json")
        rows = status.rows(root, plan.jobs)
        frames = max((row.job.steps * row.progress.repeat for row in rows), default=0)
        text = "\n".join(filter(None, [status.text(rows), scores_so_far(root, frames)]))
        if watch and sys.stdout.isatty():
            text = f"\033[H\033[J{text}"
        print(text, flush=True)
        over = all(row.state.state in (states.FINISHED, states.FAILED) for row in rows)
        if over or not watch:
            return 0
        try:
            time.sleep(interval)
        except KeyboardInterrupt:
            return 0


def scores_so_far(root: Path, frames: int) -> str:
    """Returns a line of human-normalised aggregates for each method.

    Only runs count that have reached their end, at `frames` if known (0: not); which games have
    any is said, too.
    """
    from scores import games, load, protocol, stats

    try:
        groups, _ = load.load([str(root)])
    except UserError:  # No run has a score yet.
        return ""
    lines = []
    for column in protocol.columns(groups, None, frames or None):
        rated = [game for game in games.atari100k() if len(column.of(game))]
        if rated:
            scores = games.normalised(rated, column.select(rated))
            found = stats.aggregates(scores, RESAMPLES).items()
            numbers = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found)
            runs = sum(len(column.of(game)) for game in rated)
            lines.append(f"{column.name}: {numbers} ({len(rated)} games, {runs} runs)")
    return "\n".join(lines)
