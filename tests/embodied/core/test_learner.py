"""What keeps the contract of a learner has every method of it, with the same arguments."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from fake_learner import FakeLearner

from embodied.core.learner import Learner, Store
from embodied.replay.store import HostStore


def methods(protocol: Any) -> dict[str, list[str]]:
    found = {name: each for name, each in vars(protocol).items() if name[0] != "_"}
    return {
        name: [] if isinstance(each, property) else list(inspect.signature(each).parameters)
        for name, each in found.items()
        if callable(each) or isinstance(each, property)
    }


def runtime() -> Any:
    from harmony_dreamerv3.runtime.runtime import Runtime

    return Runtime


def device_store() -> Any:
    from harmony_dreamerv3.runtime.device_replay import DeviceStore

    return DeviceStore


@pytest.mark.parametrize(
    ("kept", "contract"),
    [(lambda: FakeLearner, Learner), (runtime, Learner), (lambda: HostStore, Store),
     (device_store, Store)],
)  # fmt: skip
def test_every_method_is_there_with_its_arguments(kept: Any, contract: Any) -> None:
    cls = kept()
    wanted = methods(contract)
    assert len(wanted) >= 3
    for name, arguments in wanted.items():
        each = inspect.getattr_static(cls, name)
        if arguments:
            assert list(inspect.signature(each).parameters) == arguments, name
