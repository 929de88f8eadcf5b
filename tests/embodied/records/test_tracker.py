"""Trackers, with stand-ins for the packages; the real ones are tried where they are installed."""

from __future__ import annotations

import json
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embodied.records import tracker
from embodied.records.logger import Logger


class Run:
    """What `init` of either package returns."""

    def __init__(self, settings: dict[str, Any], fail: str) -> None:
        self.settings, self.fail, self.lines, self.done = settings, fail, [], False

    def define_metric(self, name: str, step_metric: str) -> None:
        assert (name, step_metric) == ("*", "step")

    def log(self, values: dict[str, float], step: int | None = None) -> None:
        if self.fail == "log":
            raise ConnectionError("the server is gone\nsecond line")
        self.lines.append((values, step))

    def finish(self) -> None:
        self.done = True
        if self.fail == "finish":
            raise SystemExit(3)


@pytest.fixture(params=["wandb", "trackio"])
def package(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module: Any = types.ModuleType(request.param)
    module.runs, module.fail = [], ""

    def init(**settings: Any) -> Run:
        if module.fail == "init":
            raise ValueError("no key")
        module.runs.append(Run(settings, module.fail))
        return module.runs[-1]

    module.init = init
    monkeypatch.setitem(sys.modules, request.param, module)
    yield module


def play(kind: str, folder: Path) -> None:
    logger = Logger(folder, 0, kind)
    for step in (10, 20):
        logger.scalars({"train/loss": step / 10, "train/bad": float("nan")}, step)
    logger.close()


def test_scalars_arrive_in_order(package: Any, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("task: atari_pong\nrun: {steps: 5}\n")
    play(package.__name__, tmp_path)
    (run,) = package.runs
    steps = [values.get("step", step) for values, step in run.lines]
    assert steps == [10, 20] and run.done
    assert [values["train/loss"] for values, _ in run.lines] == [1, 2]
    assert not any("train/bad" in values for values, _ in run.lines)
    assert run.settings["config"] == {"task": "atari_pong", "run": {"steps": 5}}
    assert run.settings["project"] == "harmony-dreamerv3" and run.settings["resume"] == "allow"


def test_a_run_that_goes_on_is_the_same_run(package: Any, tmp_path: Path) -> None:
    for _ in range(2):
        play(package.__name__, tmp_path)
    key = "id" if package.__name__ == "wandb" else "name"
    first, second = (run.settings[key] for run in package.runs)
    assert first == second and json.loads((tmp_path / tracker.NOTE).read_text())["id"] in first


@pytest.mark.parametrize("fail", ["init", "log", "finish"])
def test_a_failure_is_one_warning(
    package: Any, fail: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package.fail = fail
    play(package.__name__, tmp_path)
    words = {"init": "ValueError: no key", "log": "ConnectionError: the server is gone",
             "finish": "SystemExit: 3"}[fail]  # fmt: skip
    warning = f"warning: run.tracker {package.__name__}: {words}; training goes on\n"
    assert capsys.readouterr().out == warning


def test_a_package_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    play("wandb", tmp_path)
    out = capsys.readouterr().out
    assert "wandb cannot be imported" in out and "pip install 'harmony-dreamerv3[wandb]'" in out
    assert out.count("warning") == 1


def test_one_that_hangs_holds_nobody_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = threading.Event()
    monkeypatch.setattr(tracker, "_PATIENCE", 0.05)
    monkeypatch.setattr(tracker, "_WAITING", 3)

    def start() -> Any:
        hang.wait()
        raise RuntimeError("too late")

    background = tracker.Background(start, "wandb")
    for step in range(10):
        background.log({"a": 1.0}, step)
    background.close()
    hang.set()
    assert capsys.readouterr().out.count("takes nothing any more; training goes on") == 1


@pytest.mark.slow
def test_wandb_itself_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    play("wandb", tmp_path)
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


@pytest.mark.slow
def test_trackio_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "kept"))
    pytest.importorskip("trackio")
    (tmp_path / "run").mkdir()
    play("trackio", tmp_path / "run")
    assert list((tmp_path / "kept").glob("*.db"))
