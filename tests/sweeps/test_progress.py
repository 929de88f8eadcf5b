"""What jobs have reached, from their records."""

from __future__ import annotations

import json
from pathlib import Path

from counting import make

from sweeps import progress


def test_a_population_goes_on_when_its_first_seed_is_frozen(tmp_path: Path) -> None:
    job = make(seeds=(4, 7), steps=400)
    for run, step in zip(job.runs(tmp_path), (40, 300)):
        run.mkdir(parents=True)
        line = {"time": 1.0, "step": step, "steps_per_second": 2.0, "seconds/total": 5.0}
        (run / "timing.jsonl").write_text(json.dumps(line) + "\n")
    assert progress.measure(job, tmp_path).step == 300
