"""Settings that every base has."""

import dataclasses

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": {"a": -1.0}}, r"weights\.a must be a finite number of at least 0"),
        ({"tasks": {3: {}}}, "tasks must have names of letters, got 3"),
        ({"tasks": {"a": 1.0}}, r"tasks\.a must be a mapping of losses to weights, as in"),
        ({"tasks": {"a": {"x": "half"}}}, "expected a number, alpha or 1-alpha"),
        ({"lr": float("nan")}, "lr must be at least 0 and finite"),
        ({"init": "two"}, "balance.init: expected one of one, first_loss, got 'two'"),
    ],
)
def test_balance(change, message):
    balance = configs.make().balance
    with pytest.raises(UserError, match=message):
        dataclasses.replace(balance, **change)


def test_processes_need_a_coordinator_and_their_numbers():
    jax = configs.make().jax
    several = dataclasses.replace(jax, coordinator="here:1", processes=3, process=2)
    with pytest.raises(UserError, match=r"jax\.process must be at least 0 and at most 2, got 3"):
        dataclasses.replace(several, process=3)
    with pytest.raises(UserError, match=r"there is no jax\.coordinator"):
        dataclasses.replace(several, coordinator="")
