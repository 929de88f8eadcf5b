"""What a machine can do to a run, and what the run does then."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from fake_learner import FakeLearner
from fingerprints import fingerprint
from harness import SETTINGS, child_command, compare
from small import lines, make_env, make_learner, train

from embodied.checkpoint.lock import Lock
from embodied.core.env import Env
from embodied.core.errors import UserError
from embodied.stepping import process


def newest(folder: Path) -> str:
    return max(os.listdir(folder / "checkpoints"))


@pytest.mark.parametrize("term", [False, True], ids=["SIGKILL", "SIGTERM"])
def test_killed_processes_leave_no_trace(term: bool, tmp_path: Path) -> None:
    settings = {"task": "dummy_disc", "options": {"size": 8}, "members": 1}
    settings |= {**SETTINGS, "steps": 300}
    tally = compare([*child_command(settings), "{logdir}"], tmp_path, 3, seed=1, term=term)
    assert tally.kills == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "options", "settings"),
    [
        ("atari_pong", {}, {"steps": 1500, "train_ratio": 4.0, "eval_every": 0, "save_every": 100}),
        ("dmc_walker_walk", {"image": False}, {"steps": 1500, "eval_every": 0, "save_every": 100}),
    ],
)
def test_killed_simulators_leave_no_trace(
    task: str, options: dict[str, Any], settings: dict[str, Any], tmp_path: Path
) -> None:
    every = {"task": task, "options": options, "members": 1, **SETTINGS, **settings}
    compare([*child_command(every), "{logdir}"], tmp_path, 50, seed=2)


def test_a_loss_that_is_not_finite_is_named_and_never_saved(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"the loss 'image' of seed 3 .* last good checkpoint stays"
    ):
        train(tmp_path, make_learner(fail_at={0: 50}))
    assert newest(tmp_path) == "000000000060"
    assert train(tmp_path)["finished"]


def test_a_failed_learner_does_not_push_out_a_good_checkpoint(tmp_path: Path) -> None:
    settings = {"save_every": 2, "eval_every": 0, "report_every": 0}
    with pytest.raises(UserError, match="no longer finite"):
        train(tmp_path / "failed", make_learner(fail_at={0: 50}), **settings)
    assert train(tmp_path / "failed", **settings)["finished"]
    train(tmp_path / "plain", **settings)
    assert fingerprint(tmp_path / "failed") == fingerprint(tmp_path / "plain")


def test_a_frozen_learner_does_not_go_on_alone(tmp_path: Path) -> None:
    train(tmp_path, make_learner((3, 1), fail_at={1: 50}), (3, 1))
    with pytest.raises(
        UserError, match=r"seed-1 has stopped learning \(the loss 'image' of seed 1"
    ):
        train(tmp_path / "seed-1", seeds=(1,), steps=160)


@pytest.mark.parametrize("where", ["env", "eval_env"])
def test_an_observation_outside_its_space_is_named(where: str, tmp_path: Path) -> None:
    class Garbage:
        def __init__(self, env: Any) -> None:
            self.__dict__.update(env=env, count=0)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.__dict__["env"], name)

        def step(self, action: np.ndarray) -> Any:
            obs = self.__dict__["env"].step(action)
            self.__dict__["count"] += 1
            if self.__dict__["count"] == 10:
                obs["vector"] = np.full_like(obs["vector"], np.nan)
            return obs

    def make(member: int, index: int, seed: int) -> Env:
        env = make_env(member, index, seed)
        env._env = Garbage(env._env)  # type: ignore[attr-defined]
        return env

    with pytest.raises(UserError, match="seed 3: dummy_disc: 'vector' is outside its space"):
        train(tmp_path, **{where: make})


def test_an_environment_that_raises_stops_a_single_run(tmp_path: Path) -> None:
    def make(member: int, index: int, seed: int) -> Env:
        env = make_env(member, index, seed)
        env.step = lambda action: 1 / 0  # type: ignore[assignment, method-assign, return-value]
        return env

    with pytest.raises(UserError, match=r"seed 3 raised ZeroDivisionError.*run\.env_process"):
        train(tmp_path, env=make)


class Crashing:
    """Ends its process at the given step, in its first life only."""

    def __init__(self, env: Env, at: int, marker: Path) -> None:
        self._env, self._left, self._marker = env, at, marker
        self.obs_space, self.act_space = env.obs_space, env.act_space
        self.repeat, self.savable = env.repeat, env.savable
        self.save, self.load, self.close = env.save, env.load, env.close

    def step(self, action: np.ndarray) -> Any:
        self._left -= 1
        if self._left == 0 and not self._marker.exists():
            self._marker.touch()
            os._exit(3)
        return self._env.step(action)


class Watch(FakeLearner):
    """Keeps what it is trained on."""

    seen: ClassVar[list[dict[str, np.ndarray]]]

    def train(self, batches: list[dict[str, np.ndarray]]) -> Any:
        self.seen.append(batches[0])
        return super().train(batches)


class MakeCrashing:
    """Makes environments that crash once; picklable."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __call__(self, member: int, index: int, seed: int) -> Env:
        return Crashing(make_env(member, index, seed), 30, self.marker / str(index))


def test_a_crashed_environment_process_cuts_its_episode(tmp_path: Path) -> None:
    seen = Watch.seen = []
    (tmp_path / "marks").mkdir()
    make = MakeCrashing(tmp_path / "marks")
    with pytest.warns(RuntimeWarning, match="restart number 1"):
        train(tmp_path / "run", make_learner(cls=Watch), env=make, env_process=True)
    assert sorted(os.listdir(tmp_path / "marks")) == ["0", "1"]
    cut = 0
    for batch in seen:
        first, last = batch["is_first"][:, 1:], batch["is_last"][:, :-1]
        np.testing.assert_array_equal(first, last)
        assert not batch["action"][batch["is_last"]].any()
        cut += int((last & ~batch["is_terminal"][:, :-1]).sum())
    assert cut
    lengths = [e["length"] for e in lines(tmp_path / "run" / "episodes.jsonl")]
    assert max(lengths) == 12


def test_a_stop_in_a_pause_between_restarts_saves_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Watch.seen = []
    wait = process.ProcessGroup._wait

    def stopped(group: process.ProcessGroup, pause: float) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        wait(group, pause)

    monkeypatch.setattr(process, "_PAUSES", (600.0,))
    monkeypatch.setattr(process.ProcessGroup, "_wait", stopped)
    (tmp_path / "marks").mkdir()
    make = MakeCrashing(tmp_path / "marks")
    with pytest.warns(RuntimeWarning, match="restart number 1 .* in 600 seconds"):
        done = train(tmp_path / "run", make_learner(cls=Watch), env=make, env_process=True)
    assert done["signal"] == "SIGTERM" and 0 < done["step"] < 120
    again = train(tmp_path / "run", make_learner(cls=Watch), env_process=True)
    assert again["finished"] and again["step"] == 120
    for batch in seen:  # Every window is of whole episodes, that of the cut one, too.
        first, last = batch["is_first"][:, 1:], batch["is_last"][:, :-1]
        np.testing.assert_array_equal(first, last)
    lengths = [e["length"] for e in lines(tmp_path / "run" / "episodes.jsonl")]
    assert max(lengths) == 12 and min(lengths) > 0


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    with pytest.raises(UserError, match="in use by another run"):
        train(tmp_path)
    lock.release()
    assert train(tmp_path)["finished"]
    (tmp_path / "all").mkdir()
    lock = Lock(tmp_path / "all")
    with pytest.raises(UserError, match="in use by another run"):
        train(tmp_path / "all", seeds=(1, 2))
    lock.release()


def test_jumps_of_the_clock_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "plain")
    jumps = iter(range(10**9))
    monkeypatch.setattr("time.time", lambda: 1e9 - 86400.0 * next(jumps))
    train(tmp_path / "jumps", steps=60)
    train(tmp_path / "jumps")
    assert fingerprint(tmp_path / "jumps") == fingerprint(tmp_path / "plain")
