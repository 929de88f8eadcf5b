"""The progress line tells what it knows, and no more."""

from __future__ import annotations

import pytest

from embodied.records.progress import Progress


def test_the_line_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(1000)
    progress.show(100, 0, (100, 0, 0.5))
    progress.show(200, 60, (100, 60, 50.0), "train return 3.0")  # Compiles.
    progress.show(300, 160, (100, 100, 50.0), "train return 4.0")
    progress.show(400, 260, (100, 100, 10.0))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "step 100/1,000 (10%)  filling the replay",
        "step 200/1,000 (20%)  updates 60  train return 3.0",
        # 700 steps at 2 a second.
        "step 300/1,000 (30%)  updates 160  2.0 steps/s  2.0 updates/s  ETA 5m 50s  "
        "train return 4.0",
        # (0.8 * 100 + 100) / (0.8 * 50 + 10) = 3.6 steps a second; 600 / 3.6 = 166 seconds.
        "step 400/1,000 (40%)  updates 260  3.6 steps/s  3.6 updates/s  ETA 2m 46s",
    ]


def test_a_run_that_goes_on_compiles_again(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(1000)
    progress.show(500, 300, (20, 20, 60.0))
    assert "ETA" not in capsys.readouterr().out
