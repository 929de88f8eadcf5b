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


def returns(folder: Path, block: str, *flags: str) -> list[tuple[float, int]]:
    """Trains a block as a user would; returns mean and number of the returns of each evaluation."""
    # The other tests compile without optimization, which would make this one slow.
    env = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    command = [sys.executable, "-m", "harmony_dreamerv3", "train", "--configs", block]
    command += ["--logdir", str(folder), "--jax.platform", "cpu", "--seed", "0", *flags]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[int, list[float]] = {}
    for line in (folder / "episodes.jsonl").read_text().splitlines():
        episode = json.loads(line)
        if episode["mode"] == "eval":
            found.setdefault(episode["step"], []).append(episode["return"])
    return [(float(np.mean(values)), len(values)) for values in found.values()]


def test_catch_from_pixels(tmp_path: Path) -> None:
    mean, count = returns(tmp_path / "run", "catch", "--harmony", "True")[-1]
    assert count == 100
    assert mean >= 0.8


def test_cartpole_from_vectors(tmp_path: Path) -> None:
    # The goal is to reach it: policies that balance may sway afterwards (docs/results.md).
    assert max(mean for mean, _ in returns(tmp_path / "run", "cartpole")) >= 400


def test_cartpole_needs_its_world_model(tmp_path: Path) -> None:
    assert (
        max(mean for mean, _ in returns(tmp_path / "run", "cartpole", "--model_opt.lr", "0")) < 400
    )


def test_catch_needs_its_world_model(tmp_path: Path) -> None:
    mean, count = returns(tmp_path / "run", "catch", "--model_opt.lr", "0")[-1]
    assert count == 100
    assert mean < 0.8


def test_cartpole_on_the_2025_base(tmp_path: Path) -> None:
    # A quarter of the steps of the others; random actions last 20.
    assert max(mean for mean, _ in returns(tmp_path / "run", "cartpole_2025")) >= 200
