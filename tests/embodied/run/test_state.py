"""A run that stops at any moment and continues is the run that never stopped."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_learner import FakeLearner
from fingerprints import fingerprint
from small import folders, lines, make_env, make_learner, train

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.core.env import Env
from embodied.core.errors import UserError

LATENTS = {"replay_context": 1}


class Crash(BaseException):
    """Ends a run as if its process had died: nothing is saved."""


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the waiting for the disk, which no crash of a process alone can show."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


class Fragile(FakeLearner):
    """Crashes, or sends itself a signal, at one of its actions."""

    left: int = -1
    kill: int | None = None

    def act(self, *args: Any, **kwargs: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            if self.kill is None:
                raise Crash
            os.kill(os.getpid(), self.kill)
        return super().act(*args, **kwargs)


def disturbed(root: Path, seeds: tuple[int, ...], rng: random.Random, **settings: Any) -> int:
    """Trains with crashes and signals at random actions; returns how many there were."""
    for stops in range(1000):
        learner = make_learner(seeds, Fragile, latents="replay_context" in settings)
        learner.left = rng.randrange(1, 90)
        learner.kill = rng.choice([None, signal.SIGTERM, signal.SIGINT])
        try:
            if train(root, learner, seeds, **settings)["finished"]:
                return stops
        except Crash:
            pass
    raise AssertionError("never finished")


def test_no_record_comes_before_the_first_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, save = [], Checkpoints.save

    def slow(self: Checkpoints, step: int, parts: Any) -> None:
        if not found:
            time.sleep(0.3)  # Time for many steps, if training went on.
            found.append([path.stat().st_size for path in tmp_path.glob("*.jsonl")])
        save(self, step, parts)

    monkeypatch.setattr(Checkpoints, "save", slow)
    assert train(tmp_path)["finished"]
    assert found and not any(found[0])


@pytest.mark.parametrize(
    ("seeds", "settings"),
    [
        ((3,), {}),
        ((3,), {"eval_async": True, "eval_eps": 9}),
        ((3,), {"replay_size": 40, "envs": 3, "save_every": 7, "keep": 3}),
        ((3, 1, 2), {"eval_async": True}),
        ((3,), {**LATENTS, "random_fill": False, "replay_online": True, "pretrain": 1}),
        ((3, 1), {**LATENTS, "replay_size": 40, "consec_train": 2, "train_ratio": 4.0}),
        ((3,), {"replay_episodes": True, "replay_ends": True, "replay_size": 60, "pretrain": 7}),
        ((3,), {"replay_episodes": True, "replay_minlen": 2, "train_fill": 5}),
    ],
    ids=["plain", "async", "ring", "population", "2025", "consecutive", "episodes", "short"],
)
def test_disturbed_runs_equal_the_undisturbed_one(
    seeds: tuple[int, ...], settings: dict[str, Any], tmp_path: Path
) -> None:
    train(tmp_path / "plain", seeds=seeds, **settings)
    wanted = [fingerprint(folder) for folder in folders(tmp_path / "plain", seeds)]
    stops = 0
    for number in range(4):
        root = tmp_path / f"disturbed-{number}"
        stops += disturbed(root, seeds, random.Random(number), **settings)
        assert [fingerprint(folder) for folder in folders(root, seeds)] == wanted
    assert stops >= 6


def test_background_evaluation_leaves_the_same_records(tmp_path: Path) -> None:
    train(tmp_path / "a", eval_async=False)
    train(tmp_path / "b", eval_async=True)
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")


def test_environments_in_processes_leave_the_same_records(tmp_path: Path) -> None:
    train(tmp_path / "a", steps=40)
    train(tmp_path / "b", steps=40, env_process=True, eval_processes=2)
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")


def test_a_finished_run_is_left_alone_and_can_be_made_longer(tmp_path: Path) -> None:
    train(tmp_path / "long", steps=120)
    train(tmp_path / "short", steps=60)
    before = fingerprint(tmp_path / "short")
    assert train(tmp_path / "short", steps=60)["finished"]
    assert fingerprint(tmp_path / "short") == before
    train(tmp_path / "short", steps=120)
    for part in ("learner", "metrics.jsonl", "episodes.jsonl"):
        assert fingerprint(tmp_path / "short")[part] == fingerprint(tmp_path / "long")[part]


def test_a_resume_elsewhere_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, make_learner((3,)), (3,), steps=40)
    train(tmp_path, make_learner((3,)), (3,), steps=60)
    assert "last digits" not in capsys.readouterr().out
    learner = make_learner((3,))
    learner.machine = "another"
    train(tmp_path, learner, (3,), steps=80)
    said = capsys.readouterr().out
    assert "computed on none, and goes on on another: the last digits" in said


def test_sigterm_saves_where_it_comes(tmp_path: Path) -> None:
    learner = make_learner(cls=Fragile)
    learner.left, learner.kill = 40, signal.SIGTERM
    handler = signal.getsignal(signal.SIGTERM)
    summary = train(tmp_path, learner, eval_env=None)
    assert not summary["finished"] and summary["signal"] == "SIGTERM"
    # Random actions until step 16, so the 40th action of the policy leads from 94 to 96.
    assert summary["step"] == 96
    assert sorted(os.listdir(tmp_path / "checkpoints"))[-1] == "000000000096"
    assert signal.getsignal(signal.SIGTERM) is handler


def test_damage_to_the_newest_checkpoint_costs_nothing_but_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path / "plain")
    train(tmp_path / "hurt")
    (tmp_path / "hurt/checkpoints/000000000120/learner.safetensors").write_bytes(b"short")
    (tmp_path / "hurt/episodes.jsonl").write_bytes(b"")
    capsys.readouterr()
    train(tmp_path / "hurt")
    said = capsys.readouterr().out
    assert "step 120 is not whole" in said and "continuing from the checkpoint of step 90" in said
    assert fingerprint(tmp_path / "hurt") == fingerprint(tmp_path / "plain")


def test_damage_to_old_replay_files_is_survived_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, steps=60)
    oldest = min((tmp_path / "replay").iterdir())
    oldest.write_bytes(oldest.read_bytes()[:-1])
    assert train(tmp_path)["finished"]
    said = capsys.readouterr().out
    assert f"replay files ['{oldest.name}'] are damaged; the run goes on with the 30" in said


def test_an_environment_that_cannot_save_resumes_with_a_new_episode(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds_made = []

    class Unsavable:
        def __init__(self, seed: int) -> None:
            seeds_made.append(seed)
            self.__dict__.update(env=make_env(0, 0, seed), savable=False)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.__dict__["env"], name)

        def save(self) -> None:
            return None

    def make(member: int, index: int, seed: int) -> Env:
        return Unsavable(seed)  # type: ignore[return-value]

    watched: list[dict[str, np.ndarray]] = []

    class Watch(FakeLearner):
        def train(self, batches: list[dict[str, np.ndarray]]) -> Any:
            watched.append(batches[0])
            return super().train(batches)

    train(tmp_path, env=make, steps=50)
    assert "cannot save its state" in capsys.readouterr().out
    train(tmp_path, make_learner(cls=Watch), env=make, steps=200)
    assert len(set(seeds_made)) == 4  # Two at the start, two others after the resume.
    for batch in watched:  # The episode that was cut has an end in the replay.
        first, last = batch["is_first"][:, 1:], batch["is_last"][:, :-1]
        np.testing.assert_array_equal(first, last)
    episodes = [line for line in lines(tmp_path / "episodes.jsonl") if line["mode"] == "train"]
    assert [line["episode"] for line in episodes] == list(range(len(episodes)))
    assert all(line["length"] <= 12 for line in episodes)


@pytest.mark.parametrize("change", ["seed", "envs"])
def test_the_checkpoint_of_another_run_is_refused(change: str, tmp_path: Path) -> None:
    train(tmp_path, steps=40)
    before = (tmp_path / "episodes.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"this one has .*choose another"):
        if change == "seed":
            train(tmp_path, seeds=(4,))
        else:
            train(tmp_path, envs=3)
    assert (tmp_path / "episodes.jsonl").read_bytes() == before


def test_records_without_a_checkpoint_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "episodes.jsonl").write_bytes(b"{}\n")
    with pytest.raises(UserError, match="records but no checkpoint"):
        train(tmp_path)
    assert (tmp_path / "episodes.jsonl").read_bytes() == b"{}\n"
