"""Counts of a run, by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from embodied.core.errors import UserError
from embodied.core.rng import derive_seed, generator
from embodied.run import RunConfig
from embodied.run.config import crossed, fill_step, sampling, updates_due


def test_the_atari_schedule_is_one_update_per_agent_step() -> None:
    run = RunConfig(steps=100_000, train_ratio=1024, train_fill=1024)
    # 1024 windows of 64 steps first exist after 1024 + 63 steps.
    assert fill_step(run, 64) == 1087
    assert updates_due(1087, None, run, 16, 64) == 0
    assert [updates_due(step, 1087, run, 16, 64) for step in (1087, 1088, 1089)] == [0, 1, 2]
    assert updates_due(100_000, 1087, run, 16, 64) == 100_000 - 1087


def test_the_metaworld_schedule() -> None:
    run = RunConfig(envs=5, train_ratio=500, train_fill=5000)
    # 5 streams of n steps have 5 (n - 49) windows: 5000 of them at n = 1049.
    assert fill_step(run, 50) == 5 * 1049
    # An update trains on 2500 steps, so there is one every 5 agent steps.
    assert updates_due(5 * 1049 + 5, 5 * 1049, run, 50, 50) == 1
    assert updates_due(5 * 1049 + 500, 5 * 1049, run, 50, 50) == 100


def test_a_ratio_below_one_update_per_step() -> None:
    run = RunConfig(train_ratio=0.5, train_fill=1)
    # Batches of 4 x 8 steps: an update every 64 agent steps.
    assert [updates_due(8 + n, 8, run, 4, 8) for n in (63, 64, 127, 128)] == [0, 1, 1, 2]
    assert updates_due(10**6, 8, dataclasses.replace(run, train_ratio=0), 4, 8) == 0


def test_the_schedule_of_2025() -> None:
    """The first call gives one update, later ones what 256 / (16 * 64) a step has gathered."""
    run = RunConfig(train_ratio=256, replay_context=1, pretrain=1, train_fill=1024)
    # 1024 windows of 65 steps first exist after 1024 + 64 steps.
    assert fill_step(run, 64) == 1088
    due = [updates_due(1088 + n, 1088, run, 16, 64) for n in range(9)]
    assert due == [1, 1, 1, 1, 2, 2, 2, 2, 3]
    # 110,000 agent steps: 27.2 thousand updates.
    assert updates_due(110_000, 1088, run, 16, 64) == 1 + (110_000 - 1088) // 4


def test_the_schedule_of_dreamerv2() -> None:
    """Random for 5,000 steps; then 101 updates, one at the first step and at every fifth after."""
    run = RunConfig(train_fill=5000, train_ratio=500, pretrain=102, replay_episodes=True)
    assert fill_step(run, 50) == 5000
    due = [updates_due(5000 + n, 5000, run, 50, 50) for n in (0, 4, 5, 9, 10)]
    assert due == [102, 102, 103, 103, 104]


def test_long_windows_fill_later() -> None:
    run = RunConfig(train_fill=10, consec_train=3, replay_context=2)
    assert sampling(run, 4).item == 14 and fill_step(run, 4) == 10 + 13


def test_crossing_multiples() -> None:
    assert [s for s in range(0, 21) if crossed(s, 5, 1)] == [5, 10, 15, 20]
    assert [s for s in range(0, 21, 3) if crossed(s, 5, 3)] == [6, 12, 15]
    assert not any(crossed(s, 0, 1) for s in range(20))


@pytest.mark.parametrize("name", ["steps", "envs", "train_fill", "log_every", "save_every", "keep"])
def test_counts_out_of_range_are_named(name: str) -> None:
    with pytest.raises(UserError, match=f"run.{name} must be at least"):
        RunConfig(**{name: 0})


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 2**31), ("envs", 10**9), ("train_ratio", float("inf")), ("env_timeout", 0.0)],
)
def test_values_beyond_sense_are_named(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"run.{name} must be"):
        RunConfig(**{name: value})


def test_not_a_number_is_out_of_range() -> None:
    with pytest.raises(UserError, match=r"run\.train_ratio"):
        RunConfig(train_ratio=float("nan"))


def test_random_numbers_depend_on_every_part_of_their_key() -> None:
    def draw(purpose: str, seed: int, index: int) -> float:
        return float(generator(purpose, seed, index).random())

    keys = [("a", 1, 2), ("b", 1, 2), ("a", 2, 2), ("a", 1, 3), ("a", 2, 1)]
    assert len({draw(*key) for key in keys}) == len(keys)
    assert draw("a", 1, 2) == draw("a", 1, 2)
    seeds = [
        derive_seed(seed, step, row) for seed in range(9) for step in (0, 5) for row in range(9)
    ]
    assert len(set(seeds)) == len(seeds)
    assert np.all(np.array(seeds) >= 0) and np.all(np.array(seeds) < 2**31)
