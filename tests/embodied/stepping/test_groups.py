"""Environments of this process behind one call."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import embodied.envs
from embodied.core.env import Env
from embodied.stepping.groups import Local


def make(seed: int) -> Env:
    return embodied.envs.make("dummy_disc", seed, {"size": 4})


def test_rows_are_stepped_in_the_order_asked_for() -> None:
    group = Local([functools.partial(make, seed) for seed in range(3)])
    assert group.size == 3 and group.savable
    wanted = [make(seed).step(None)["image"] for seed in (2, 0)]
    obs = group.step([2, 0], [None, None])
    np.testing.assert_array_equal(obs["image"], np.stack(wanted))
    assert obs["is_first"].all()
    state = group.save()[2]
    assert state is not None
    action = np.eye(4, dtype=np.float32)[0]
    after = group.step([2], [action])
    group.load(2, state)
    np.testing.assert_array_equal(group.step([2], [action])["image"], after["image"])
    group.close()


def test_what_was_made_is_closed_when_the_rest_cannot_be() -> None:
    closed = []

    def first() -> Env:
        env = make(0)
        env.close = lambda: closed.append(1)  # type: ignore[method-assign]
        return env

    def second() -> Env:
        raise ValueError("no such game")

    with pytest.raises(ValueError, match="no such game"):
        Local([first, second])
    assert closed == [1]
