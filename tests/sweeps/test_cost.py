"""The cost model by hand, and its tables in the documentation."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cost() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cost", ROOT / "benchmarks" / "cost.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["cost"] = module  # Dataclasses look their module up.
    spec.loader.exec_module(module)
    return module


def test_the_model_by_hand(cost: ModuleType) -> None:
    line = ["--steps", "1100", "--fill", "100", "--train-ratio", "512", "--env-rate", "10",
            "--eval-every", "500", "--eval-eps", "4", "--episode", "50", "--eval-rate", "20",
            "--eval-processes", "2", "--eval-envs", "3", "--eval-make", "0.5", "--eval-start", "1",
            "--overhead", "7"]  # fmt: skip
    made = cost.job(cost.parse(line), seeds=2, rate=5.0)
    # 1000 steps at a ratio of 512 / 1024 are 500 updates, for two seeds 1000, at 5 a second 200 s.
    assert made.train == 200
    assert made.env == 2 * 1100 / 10
    # Two evaluations: 1 s to start, and for each of two seeds 3 environments at 0.5 s and 4 x 50
    # steps at 20 a second, shared by two processes: 2 x (1 + 2 x (1.5 + 10) / 2).
    assert made.evaluation == 25
    assert made.total == 7 + 220
    apart = cost.job(cost.parse([*line, "--eval-beside", "0"]), seeds=2, rate=5.0)
    assert apart.total == 7 + 220 + 25
    with pytest.raises(SystemExit):
        cost.parse(["--rate", "mine"])


def test_devices_share_whole_jobs(cost: ModuleType) -> None:
    args = cost.parse(["--rate", "a=5:100", "--devices", "1", "40", "--overhead", "0"])
    row = cost.tables(args).splitlines()[2].split(" | ")
    hours = float(cost.job(args, 5, 100.0).total) / 3600
    # 52 jobs: one after the other, or two rounds on 40 devices.
    assert row[-2] == f"{52 * hours:.3g}" and row[-1] == f"{2 * hours:.3g} |"


def test_the_documentation_shows_what_the_script_prints(cost: ModuleType) -> None:
    text = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    assert cost.tables(cost.parse([])) in text
