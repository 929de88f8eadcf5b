"""How a sweep stands: a table of jobs, the time left."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from embodied.records.text import columns, duration
from sweeps import progress, states
from sweeps.plan import Job
from sweeps.progress import Progress
from sweeps.states import JobState, States

# Seconds since its last record after which a run that no sweep started counts as stopped.
STALE = 900.0


@dataclasses.dataclass(frozen=True)
class Row:
    """One job as it stands."""

    job: Job  # the job
    state: JobState  # what the engine knows of it
    progress: Progress  # what it has reached

    @property
    def left(self) -> int:
        """Agent steps that are still to be done."""
        finished = self.state.state == states.FINISHED
        return 0 if finished else max(0, self.job.steps - self.progress.step)


def rows(root: Path, jobs: Sequence[Job]) -> list[Row]:
    """Reads the states and records of jobs."""
    store = States(root)
    return [_row(root, job, store.read(job)) for job in jobs]


def _row(root: Path, job: Job, state: JobState) -> Row:
    reach = progress.measure(job, root)
    if state.gone:
        state = dataclasses.replace(state, state=states.STOPPED, reason="its process is gone")
    if state.state != states.FINISHED and progress.saved(job, root).done:
        state = dataclasses.replace(state, state=states.FINISHED)
    elif not state.time and reach.time:  # Started by hand, or by another scheduler.
        going = time.time() - reach.time < STALE
        state = dataclasses.replace(state, state=states.RUNNING if going else states.STOPPED)
    if state.state == states.FINISHED:
        reach = dataclasses.replace(reach, step=job.steps)
    return Row(job, state, reach)


def seconds_left(table: Sequence[Row]) -> float | None:
    """Returns the time that the jobs which run now take for the rest, None if not known.

    As many jobs as run now go on side by side, each as fast as it did so far; one that has not
    begun is as fast as the mean. No job is done before the slowest running one is.
    """
    running = [row for row in table if row.state.state == states.RUNNING]
    rates = [row.progress.rate for row in table if row.progress.rate > 0]
    open_rows = [row for row in table if row.left and row.state.state != states.FAILED]
    if not open_rows:
        return 0.0
    if not running or not rates:
        return None
    mean = sum(rates) / len(rates)
    times = {id(row): row.left / (row.progress.rate or mean) for row in open_rows}
    longest = max((times.get(id(row), 0.0) for row in running), default=0.0)
    return max(longest, sum(times.values()) / len(running))


def text(table: Sequence[Row]) -> str:
    """Lays the table of all jobs out, with a line of totals below it."""
    head = ["method", "task", "seeds", "state", "steps", "", "updates/s", "left", "return", ""]
    cells = [head, *(_cells(row) for row in table)]
    lines = columns(cells, right=range(4, 9))
    return "\n".join([*lines, "", totals(table)])


def totals(table: Sequence[Row]) -> str:
    """Returns the line of totals: jobs by state, progress, rate and time left."""
    counts = Counter(row.state.state for row in table)
    parts = [f"{counts[state]} {state}" for state in states.EVERY if counts[state]]
    members = [len(row.job.seeds) for row in table]
    every = sum(row.job.steps * n for row, n in zip(table, members))
    left = sum(row.left * n for row, n in zip(table, members))
    rate = sum(
        row.progress.updates_rate * n
        for row, n in zip(table, members)
        if row.state.state == states.RUNNING
    )
    share = f"{1 - left / every:.1%} of all steps" if every else "nothing to do"
    return f"{', '.join(parts)}; {share}, {rate:.1f} updates/s, ETA {duration(seconds_left(table))}"


def _cells(row: Row) -> list[str]:
    job, reach, running = row.job, row.progress, row.state.state == states.RUNNING
    rate = reach.updates_rate * len(job.seeds)
    note = row.state.reason
    if running:
        device = row.state.device and f"gpu {row.state.device}"
        note = " ".join(filter(None, [row.state.host, device]))
    return [
        job.method,
        job.task,
        ",".join(map(str, job.seeds)),
        row.state.state,
        f"{reach.step:,}/{job.steps:,}",
        f"{reach.step / job.steps:.0%}",
        f"{rate:.1f}" if running and rate else "",
        duration(row.left / reach.rate) if running and reach.rate else "",
        "" if reach.returns is None else f"{reach.returns:.1f}",
        note,
    ]
