"""The agent learns where it should, and does not without a world model.

Seeds were fixed beforehand; docs/results.md shows three of each. Minutes each on two cores.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from harmony_dreamerv3 import config, training

pytestmark = pytest.mark.slow


def final_return(folder: Path, block: str, flags: dict) -> tuple[float, int]:
    """Trains a block and returns mean return and number of episodes of the last evaluation."""
    flags = {"jax.platform": "cpu", "seed": "0", **flags}
    assert training.train(config.make([block], flags), folder, None) == 0
    lines = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    evals = [line for line in lines if line["mode"] == "eval"]
    last = [e["return"] for e in evals if e["step"] == evals[-1]["step"]]
    return float(np.mean(last)), len(last)


def test_cartpole_from_vectors(tmp_path: Path) -> None:
    mean, _ = final_return(tmp_path / "run", "cartpole", {})
    assert mean >= 400


def test_cartpole_needs_its_world_model(tmp_path: Path) -> None:
    flags = {"model_opt.lr": "0", "run.steps": "2000"}
    mean, _ = final_return(tmp_path / "run", "cartpole", flags)
    assert mean < 400


def test_catch_from_pixels(tmp_path: Path) -> None:
    mean, count = final_return(tmp_path / "run", "catch", {"harmony": "True"})
    assert count == 100
    assert mean >= 0.8


def test_catch_needs_its_world_model(tmp_path: Path) -> None:
    flags = {"model_opt.lr": "0", "run.steps": "2000"}
    mean, count = final_return(tmp_path / "run", "catch", flags)
    assert count == 100
    assert mean < 0.8
