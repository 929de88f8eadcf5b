"""Evaluations: fixed shares of episodes, and the same result wherever they run."""

from __future__ import annotations

import dataclasses
import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from fake_learner import FakeLearner

import embodied.envs
from embodied.core.env import Env
from embodied.run import RunConfig, train_eval
from embodied.run.evaluation import evaluate_policy, quotas, spare_cores

RUN = RunConfig(
    steps=60, train_ratio=8, train_fill=10, log_every=20, eval_every=60, eval_eps=7, eval_envs=3
)


def make_env(member: int, index: int, seed: int) -> Env:
    return embodied.envs.make("dummy_disc", seed, {"size": 8, "length": 6, "death": 0.2})


def learner(*seeds: int) -> FakeLearner:
    return FakeLearner(list(seeds), make_env(0, 0, 0).act_space["action"])


def test_rows_differ_by_at_most_one_episode() -> None:
    # 7 = 3 + 2 + 2
    np.testing.assert_array_equal(quotas(7, 3), [3, 2, 2])
    np.testing.assert_array_equal(quotas(2, 5), [1, 1])
    for episodes in range(1, 30):
        for rows in range(1, 12):
            quota = quotas(episodes, rows)
            assert quota.sum() == episodes and quota.min() >= 1 and np.ptp(quota) <= 1


def test_every_row_plays_its_share_however_short_its_episodes_are() -> None:
    outcome = evaluate_policy(make_env, learner(1, 2), None, [1, 2], [0, 1], 40, RUN)
    for n in (0, 1):
        assert [episode.row for episode in outcome.episodes[n]] == [0, 0, 0, 1, 1, 2, 2]
    assert len({episode.length for episode in outcome.episodes[0]}) > 1
    frames = outcome.frames[0]
    assert frames is not None and frames.shape == (outcome.episodes[0][0].length + 1, 8, 8, 3)


@pytest.mark.parametrize("processes", [1, 5])
def test_workers_play_the_same_episodes(processes: int) -> None:
    """Of the second and third of three members."""
    seeds, members = [1, 2, 3], [1, 2]
    run = dataclasses.replace(RUN, eval_processes=processes)
    here = evaluate_policy(make_env, learner(*seeds), None, seeds, members, 40, RUN)
    there = evaluate_policy(make_env, learner(*seeds), None, seeds, members, 40, run)
    assert here.episodes == there.episodes and not there.errors
    for n in members:
        np.testing.assert_array_equal(here.frames[n], there.frames[n])


def test_a_member_whose_worker_cannot_be_made_has_no_result() -> None:
    run = dataclasses.replace(RUN, eval_processes=2)
    outcome = evaluate_policy(broken_second, learner(1, 2), None, [1, 2], [0, 1], 40, run)
    assert list(outcome.errors) == [1] and "no such game" in str(outcome.errors[1])
    assert list(outcome.episodes) == [0]


def broken_second(member: int, index: int, seed: int) -> Env:
    if member == 1:
        raise ValueError("no such game")
    return make_env(member, index, seed)


def test_an_evaluation_depends_on_seed_and_step_alone() -> None:
    def returns(seeds: list[int], step: int) -> list[float]:
        agent = learner(*seeds)
        members = range(len(seeds))
        outcome = evaluate_policy(make_env, agent, None, seeds, members, step, RUN)
        return [episode.total for episode in outcome.episodes[len(seeds) - 1]]

    assert returns([5], 40) == returns([5], 40) == returns([4, 5], 40)
    assert returns([5], 40) != returns([5], 45)
    assert returns([5], 40) != returns([6], 40)


def test_finished_rows_are_not_stepped() -> None:
    steps = []

    class Count:
        def __init__(self, env: Env) -> None:
            self.__dict__.update(env=env)

        def __getattr__(self, name: str) -> object:
            return getattr(self.__dict__["env"], name)

        def step(self, action: np.ndarray) -> dict[str, np.ndarray]:
            steps.append(1)
            return self.__dict__["env"].step(action)

    def make(member: int, index: int, seed: int) -> Env:
        return Count(make_env(member, index, seed))  # type: ignore[return-value]

    outcome = evaluate_policy(make, learner(1), None, [1], [0], 40, RUN)
    assert len(steps) == sum(episode.length + 1 for episode in outcome.episodes[0])


def test_stopping() -> None:
    asked = iter([False] * 9 + [True] * 99)
    outcome = evaluate_policy(
        make_env, learner(1), None, [1], [0], 40, RUN, stop=lambda: next(asked)
    )
    # Nine steps of three rows, whose episodes have six steps at most.
    assert outcome.cut and 3 <= len(outcome.episodes[0]) < 7


@pytest.mark.parametrize("background", [False, True])
def test_an_environment_stays_in_the_thread_that_made_it(background: bool, tmp_path: Path) -> None:
    threads: dict[int, set[int]] = {}

    def make(member: int, index: int, seed: int) -> Env:
        env = make_env(member, index, seed)
        seen = threads.setdefault(len(threads), {threading.get_ident()})
        step, close = env.step, env.close
        env.step = lambda action: (seen.add(threading.get_ident()), step(action))[1]  # type: ignore
        env.close = lambda: (seen.add(threading.get_ident()), close())[1]  # type: ignore
        return env

    run = dataclasses.replace(RUN, eval_async=background)
    train_eval(learner(3), make, make, [tmp_path], [3], run, 2, 4)
    assert len(threads) == 4 and all(len(seen) == 1 for seen in threads.values())
    assert (len(set.union(*threads.values())) == 2) is background


def test_no_evaluation_when_none_is_wanted(tmp_path: Path) -> None:
    run = dataclasses.replace(RUN, eval_every=0)
    train_eval(learner(3), make_env, make_env, [tmp_path], [3], run, 2, 4)
    assert '"eval"' not in (tmp_path / "episodes.jsonl").read_text()


def test_spare_cores_leave_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 5}, raising=False)
    assert spare_cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert spare_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: 128)
    assert spare_cores() == 16


def test_an_evaluation_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter(range(0, 10**6, 11))
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    evaluate_policy(make_env, learner(1), None, [1], [0], 40, RUN)
    said = capsys.readouterr().out.splitlines()
    # A word after three times eleven seconds; episodes have six steps at most.
    assert re.fullmatch(r"evaluating: \d of 7 episodes, agent step 3", said[0])
    assert re.fullmatch(r"evaluating: \d of 7 episodes, agent step 6", said[1])


def endless(member: int, index: int, seed: int) -> Env:
    return embodied.envs.make("dummy_disc", seed, {"size": 8, "length": 10**6, "death": 0.0})


@pytest.mark.parametrize("processes", [0, 2])
def test_environments_that_never_end_are_cut(processes: int) -> None:
    run = dataclasses.replace(RUN, eval_processes=processes, episode_limit=11)
    outcome = evaluate_policy(endless, learner(1), None, [1], [0], 40, run)
    assert outcome.limited and [episode.length for episode in outcome.episodes[0]] == [11] * 7
