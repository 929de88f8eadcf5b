"""Starting jobs, and what becomes of them when the sweep dies."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

from counting import PROGRAM, make

from sweeps import progress


def test_the_death_of_the_sweep_lets_its_jobs_save(tmp_path: Path) -> None:
    job = make("--nap", "0.05", steps=10_000)
    code = (
        f"import sys, time; sys.path.insert(0, {str(Path(PROGRAM).parents[2])!r})\n"
        "from pathlib import Path\n"
        "from sweeps import Job, launch\n"
        f"launch.start(Path({str(tmp_path)!r}), Job(*{dataclasses.astuple(job)!r}), {{}})\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        _wait(lambda: progress.saved(job, tmp_path).step >= 1)
        parent.kill()
    _wait(lambda: (tmp_path / job.folder / "visits").exists())


def _wait(condition, seconds: float = 120.0) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)
