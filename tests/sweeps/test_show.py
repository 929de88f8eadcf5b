"""How a sweep stands, in words; the table itself is in test_status."""

import json

import pytest

from embodied.core.errors import UserError
from sweeps import Job, Plan, show


def test_mistakes_are_named(tmp_path):
    with pytest.raises(UserError, match="--interval must be above 0 seconds, got 0"):
        show.show_status(tmp_path, None, False, 0)
    with pytest.raises(UserError, match=r"holds no sweep: it has no sweep/plan\.json"):
        show.show_status(tmp_path, None, False, 1)


def test_status_ends_with_the_scores_so_far(tmp_path, capsys):
    job = Job("harmony", "atari_pong", (0,), False, ("train",), 100, 1)
    (tmp_path / "sweep").mkdir()
    Plan((), (job,)).save(tmp_path)
    assert show.show_status(tmp_path, None, False, 1) == 0
    assert "1 waiting" in capsys.readouterr().out
    assert show.scores_so_far(tmp_path, 0) == ""
    run = tmp_path / job.folder / "seed-0" if job.population else tmp_path / job.folder
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(
        "task: atari_pong\nlabel: harmony\nseed: 0\nrun: {steps: 100}\nenv: {atari: {repeat: 4}}\n"
    )
    line = {"mode": "eval", "step": 100, "frame": 400, "return": 14.6, "length": 9, "seed": 0}
    (run / "episodes.jsonl").write_text(json.dumps(line) + "\n")
    # Human 14.6, random -20.7: a score of 1.
    words = show.scores_so_far(tmp_path, 400)
    assert words.startswith("harmony: ") and "(1 games, 1 runs)" in words
