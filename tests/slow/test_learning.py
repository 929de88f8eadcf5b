"""The agent learns where it should, and does not without a world model.

Seeds were fixed beforehand; docs/results.md has the runs. Minutes each on two cores.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def final_return(folder: Path, block: str, *flags: str) -> tuple[float, int]:
    """Trains a block as a user would; returns mean and number of the last evaluation's returns."""
    # The other tests compile without optimization, which would make this one slow.
    env = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    command = [sys.executable, "-m", "harmony_dreamerv3", "train", "--configs", block]
    command += ["--logdir", str(folder), "--jax.platform", "cpu", "--seed", "0", *flags]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    evals = [line for line in lines if line["mode"] == "eval"]
    last = [e["return"] for e in evals if e["step"] == evals[-1]["step"]]
    return float(np.mean(last)), len(last)


def test_cartpole_from_vectors(tmp_path: Path) -> None:
    mean, _ = final_return(tmp_path / "run", "cartpole")
    assert mean >= 400


def test_cartpole_needs_its_world_model(tmp_path: Path) -> None:
    mean, _ = final_return(tmp_path / "run", "cartpole", "--model_opt.lr", "0")
    assert mean < 400


def test_catch_from_pixels(tmp_path: Path) -> None:
    mean, count = final_return(tmp_path / "run", "catch", "--harmony", "True")
    assert count == 100
    assert mean >= 0.8


def test_catch_needs_its_world_model(tmp_path: Path) -> None:
    mean, count = final_return(tmp_path / "run", "catch", "--model_opt.lr", "0")
    assert count == 100
    assert mean < 0.8
