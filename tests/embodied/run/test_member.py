"""Several members in one run: each is the run it would be alone, and fails alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fingerprints import fingerprint
from small import SMALL, lines, make_env, make_learner, train

from embodied.core.env import Env
from embodied.core.errors import UserError


class Faulty:
    """Raises at a step."""

    def __init__(self, env: Env, at: int) -> None:
        self.__dict__.update(env=env, at=at)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["env"], name)

    def step(self, action: np.ndarray) -> Any:
        self.__dict__["at"] -= 1
        if self.__dict__["at"] < 0:
            raise OSError("the emulator broke")
        return self.__dict__["env"].step(action)


def test_each_member_is_the_run_it_would_be_alone(tmp_path: Path) -> None:
    train(tmp_path / "all", seeds=(3, 1, 2))
    for seed in (1, 2, 3):
        train(tmp_path / f"alone-{seed}", seeds=(seed,))
        member = fingerprint(tmp_path / "all" / f"seed-{seed}")
        assert member == fingerprint(tmp_path / f"alone-{seed}")


def test_a_member_continues_alone(tmp_path: Path) -> None:
    train(tmp_path / "all", seeds=(3, 1), steps=60)
    train(tmp_path / "all" / "seed-1", seeds=(1,), steps=120)
    train(tmp_path / "alone", seeds=(1,), steps=60)
    train(tmp_path / "alone", seeds=(1,), steps=120)
    assert fingerprint(tmp_path / "all" / "seed-1") == fingerprint(tmp_path / "alone")


@pytest.mark.parametrize("settings", [{}, {"eval_async": True}], ids=["in place", "background"])
def test_a_loss_that_is_not_finite_freezes_its_member(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, seeds = tmp_path / "all", (3, 1)
    summary = train(root, make_learner(seeds, fail_at={1: 30}), seeds, **settings)
    reason = summary["members"][1]["frozen"]
    # Updates 30 and 31 are due when 16 + 32 steps are stored; the next action finds the failure.
    assert "the loss 'image' of seed 1" in reason and "(step 50)" in reason
    assert "seed 1 is frozen, the others go on" in capsys.readouterr().out
    train(tmp_path / "alone", seeds=(3,), **settings)
    assert fingerprint(root / "seed-3") == fingerprint(tmp_path / "alone")
    assert max(line["step"] for line in lines(root / "seed-1" / "metrics.jsonl")) == 40
    # It stays frozen when the run continues, whose others are still exact.
    summary = train(root, make_learner(seeds), seeds, steps=160, **settings)
    assert summary["finished"] and summary["members"][1]["frozen"] == reason
    train(tmp_path / "alone", seeds=(3,), steps=160, **settings)
    assert fingerprint(root / "seed-3") == fingerprint(tmp_path / "alone")
    assert max(line["step"] for line in lines(root / "seed-1" / "metrics.jsonl")) == 40


def test_a_broken_environment_freezes_its_member(tmp_path: Path) -> None:
    def make(member: int, index: int, seed: int) -> Env:
        env = make_env(member, index, seed)
        return Faulty(env, 25) if member == 0 else env  # type: ignore[return-value]

    summary = train(tmp_path / "all", seeds=(3, 1), env=make)
    reason = summary["members"][0]["frozen"]
    assert "seed 3 raised OSError: the emulator broke" in reason
    train(tmp_path / "alone", seeds=(1,))
    assert fingerprint(tmp_path / "all" / "seed-1") == fingerprint(tmp_path / "alone")
    # Its folder continues by itself once the environment works again.
    assert train(tmp_path / "all" / "seed-3", seeds=(3,))["finished"]


def test_an_environment_that_breaks_before_training_begins_freezes_its_member(
    tmp_path: Path,
) -> None:
    def make(member: int, index: int, seed: int) -> Env:
        env = make_env(member, index, seed)
        return Faulty(env, 2) if member == 0 else env  # type: ignore[return-value]

    summary = train(tmp_path / "all", seeds=(3, 1), env=make)
    assert "the emulator broke" in summary["members"][0]["frozen"] and summary["finished"]
    train(tmp_path / "alone", seeds=(1,))
    assert fingerprint(tmp_path / "all" / "seed-1") == fingerprint(tmp_path / "alone")


def test_an_environment_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    made, closed = [], []

    class Counted:
        def __init__(self, env: Env) -> None:
            self.__dict__["env"] = env
            made.append(self)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.__dict__["env"], name)

        def close(self) -> None:
            closed.append(self)

    def make(member: int, index: int, seed: int) -> Env:
        if member == 1:
            raise OSError("no display")
        return Counted(make_env(member, index, seed))  # type: ignore[return-value]

    with pytest.raises(UserError, match="seed 1 raised OSError: no display"):
        train(tmp_path / "train", seeds=(3, 1), env=make)
    assert made and len(made) == len(closed)
    summary = train(tmp_path / "eval", seeds=(3, 1), eval_env=make)
    assert "no display" in summary["members"][1]["frozen"] and len(made) == len(closed)
    with pytest.raises(UserError, match="seed 4 raised OSError: no display"):
        train(tmp_path / "none", seeds=(4, 1), eval_env=lambda n, row, seed: make(1, row, seed))


def test_a_broken_evaluation_freezes_its_member(tmp_path: Path) -> None:
    def make(member: int, index: int, seed: int) -> Env:
        env = make_env(member, index, seed)
        return Faulty(env, 5) if member == 1 else env  # type: ignore[return-value]

    summary = train(tmp_path / "all", seeds=(3, 1), eval_env=make)
    assert "the emulator broke" in summary["members"][1]["frozen"]
    train(tmp_path / "alone", seeds=(3,))
    assert fingerprint(tmp_path / "all" / "seed-3") == fingerprint(tmp_path / "alone")


def test_nobody_left_stops_the_run(tmp_path: Path) -> None:
    learner = make_learner((3, 1), fail_at={0: 20, 1: 30})
    with pytest.raises(UserError, match="of seed 1 is no longer finite"):
        train(tmp_path, learner, (3, 1))


def test_another_set_of_seeds_is_refused(tmp_path: Path) -> None:
    train(tmp_path, seeds=(3, 1), steps=60)
    for seeds in ((3, 1, 2), (3, 2)):
        with pytest.raises(UserError, match=r"a population of \['seed-1', 'seed-3'\], not of"):
            train(tmp_path, seeds=seeds)
    train(tmp_path / "one", seeds=(3,), steps=60)
    with pytest.raises(UserError, match="the folder of a single run"):
        train(tmp_path / "one", seeds=(3, 1))


def test_a_population_may_have_one_member(tmp_path: Path) -> None:
    from embodied.run import RunConfig, train_eval

    run = RunConfig(**{**SMALL, "steps": 60})
    folder = tmp_path / "all" / "seed-3"
    train_eval(make_learner((3,)), make_env, make_env, [folder], [3], run, 2, 4, tmp_path / "all")
    assert list((tmp_path / "all" / "checkpoints").glob("*.json"))
    train(tmp_path / "alone", seeds=(3,), steps=60)
    assert fingerprint(folder) == fingerprint(tmp_path / "alone")


def test_the_folders_of_a_population_lie_in_one(tmp_path: Path) -> None:
    from embodied.run import RunConfig, train_eval

    folders = [tmp_path / "a" / "x", tmp_path / "b" / "x"]
    with pytest.raises(UserError, match="must lie in one folder"):
        train_eval(make_learner((1, 2)), make_env, None, folders, [1, 2], RunConfig(), 2, 4)
