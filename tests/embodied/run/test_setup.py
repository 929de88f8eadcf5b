"""Making the environments of several members, some of which cannot be made."""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from embodied.core.errors import EnvError, UserError
from embodied.core.space import Space
from embodied.run import RunConfig
from embodied.run.setup import check_capacity, describe, open_groups, open_replays, require


class Closing:
    """A group that is only closed."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def fail() -> Any:
    raise ValueError("no such game")


def leave() -> Any:
    sys.exit(3)


@pytest.mark.parametrize("threads", [0, 3])
def test_a_member_whose_group_cannot_be_made_has_none(threads: int) -> None:
    made = [Closing() for _ in range(3)]
    starts: list[Any] = [(0, lambda: made[0]), (1, lambda: made[1]), (1, fail), (2, leave)]
    groups, errors = open_groups([*starts, (0, lambda: made[2])], 3, threads)
    assert groups == [[made[0], made[2]], [], []]
    assert [group.closed for group in made] == [False, True, False]
    assert str(errors[1]) == "no such game" and "sys.exit(3)" in str(errors[2])
    with pytest.raises(UserError, match="seed 8 raised ValueError: no such game"):
        require({1: errors[1]}, [7, 8, 9])


def test_what_is_said_of_errors() -> None:
    assert describe(UserError("x is wrong"), 4) == "seed 4: x is wrong"
    assert "restarts environments that crash" in describe(EnvError("step() raised"), 4)
    assert describe(KeyError("x"), 4).startswith("an environment of seed 4 raised KeyError: 'x'")


def test_a_replay_too_small_to_start_training_is_refused() -> None:
    run = RunConfig(steps=100, envs=3, train_fill=60)
    # Rings of 34 steps hold 34 - 7 windows of 8 each: 81 in all.
    assert check_capacity(run, 8) == 100
    with pytest.raises(UserError, match=r"has only 57 in run.envs = 3 streams"):
        check_capacity(run, 16)
    assert check_capacity(RunConfig(steps=100, train_fill=100, replay_episodes=True), 50) == 100


@pytest.mark.parametrize("envs", range(1, 10))
def test_stores_are_as_large_as_the_rings(envs: int) -> None:
    """A capacity that is no multiple of the environments is rounded up for all alike."""
    asked = []

    class Learner:
        stored_space = MappingProxyType[str, Space]({})

        def make_stores(self, spaces: Any, capacity: int) -> list[None]:
            asked.append(capacity)
            return [None]

    class Driver:
        spaces = MappingProxyType({"reward": Space(np.float32)})

    class Setup:
        learner, seeds, batch_length = Learner(), (0,), 3
        run = RunConfig(steps=100, envs=envs, train_fill=1)

    (replay,) = open_replays(Setup(), Driver())  # type: ignore[arg-type]
    assert asked == [replay.store.capacity] == [replay.ring * envs]
    assert asked[0] >= 100 and asked[0] % envs == 0
