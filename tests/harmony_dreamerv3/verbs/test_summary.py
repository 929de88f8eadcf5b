"""What a run says of itself at its end."""

import dataclasses
import json
from pathlib import Path

import pytest

from harmony_dreamerv3 import config
from harmony_dreamerv3.verbs import summary


def write(path: Path, lines: list[dict]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_losses_returns_and_files(tmp_path: Path) -> None:
    made = config.make(["debug"])
    made = dataclasses.replace(made, run=dataclasses.replace(made.run, train_fill=64))
    write(
        tmp_path / "metrics.jsonl",
        [{"step": 1}, *({"step": s, "train/loss/image": v} for s, v in ((2, 80.0), (3, 20.0)))],
    )
    # 64 windows of 8 steps exist from step 71 on; what ended before was random play.
    episodes = [
        {"mode": "train", "step": 20, "return": 1.0},
        {"mode": "train", "step": 71, "return": 3.0},
        {"mode": "train", "step": 72, "return": 100.0},
        {"mode": "eval", "step": 100, "return": -50.0},
        {"mode": "eval", "step": 200, "return": 4.0},
        {"mode": "eval", "step": 200, "return": 6.0},
    ]
    write(tmp_path / "episodes.jsonl", episodes)
    text = summary.describe(tmp_path, made, repeat=4)
    assert "image loss: first 80, last 20 (25% of the first)" in text
    assert "random return: 2 (mean of the 2 episodes before training)" in text
    assert "trained return: 5 (mean of 2 episodes, evaluation at 200 agent steps = 800" in text
    assert str(tmp_path / "episodes.jsonl") in text


def test_evaluation_prints_each_return(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "episodes.jsonl", [{"return": 1.0}, {"return": 2.0}])
    with (tmp_path / "episodes.jsonl").open("a") as file:
        file.write('{"return": 3')  # a line that was being written
    summary.evaluation(tmp_path)
    out = capsys.readouterr().out
    assert "mean 1.5, median 1.5, standard deviation 0.5, n = 2" in out


def test_an_evaluation_that_was_cut_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "episodes.jsonl", [{"return": 1.0}, {"return": 2.0}])
    summary.evaluation(tmp_path, ("SIGINT", 10))
    assert "cut short by SIGINT after 2 of 10 episodes" in capsys.readouterr().out
    write(tmp_path / "episodes.jsonl", [])
    summary.evaluation(tmp_path, ("SIGINT", 10))
    assert capsys.readouterr().out.startswith("cut short by SIGINT after 0 of 10 episodes")
