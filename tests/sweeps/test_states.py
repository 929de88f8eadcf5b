"""States of jobs on disk."""

from __future__ import annotations

from pathlib import Path

from counting import make

from sweeps import JobState, States


def test_a_damaged_state_counts_as_none(tmp_path: Path) -> None:
    job = make()
    store = States(tmp_path)
    store.write(job, JobState("failed", failures=3))
    assert store.read(job).failures == 3
    for text in ("{", "[]", '{"state": null}', '{"state": "weird"}', '{"failures": "3"}'):
        (tmp_path / "sweep" / "jobs" / f"{job.name}.json").write_text(text)
        assert store.read(job) == JobState()
