"""How a sweep stands: time left and totals."""

from __future__ import annotations

from sweeps import Job, JobState, status
from sweeps.progress import Progress


def row(state: str, step: int, rate: float, seeds: tuple[int, ...] = (0,)) -> status.Row:
    job = Job("a", "dummy_disc", seeds, len(seeds) > 1, (), 1000)
    return status.Row(job, JobState(state), Progress(step=step, rate=rate, updates_rate=rate))


def test_time_left() -> None:
    table = [row("finished", 1000, 10.0), row("running", 500, 10.0), row("waiting", 0, 0.0)]
    # 500 steps at 10 a second and 1000 at the mean of 10, one after the other.
    assert status.seconds_left(table) == 50 + 100
    # Two side by side: half the sum of 50 + 50 + 100.
    assert status.seconds_left([*table, row("running", 500, 10.0)]) == 100
    # The slowest running job takes 500 s, longer than its share of the sum.
    slow = [row("running", 500, 1.0), row("running", 990, 10.0)]
    assert status.seconds_left(slow) == 500
    assert status.seconds_left([row("waiting", 0, 0.0)]) is None
    assert status.seconds_left([row("finished", 1000, 1.0), row("failed", 5, 1.0)]) == 0


def test_totals_count_every_seed() -> None:
    table = [row("running", 500, 10.0, (0, 1, 2)), row("failed", 0, 0.0)]
    # 1500 of 4000 steps done; three learners with 10 updates a second each.
    assert status.totals(table) == (
        "1 running, 1 failed; 37.5% of all steps, 30.0 updates/s, ETA 0m 50s"
    )
