"""Environments by a dotted path: what is called, with what, and what may come of it."""

import sys
import types

import pytest

from embodied.core.errors import UserError
from embodied.envs._tools import own


class Made:
    observation_space = action_space = reset = step = None

    def __init__(self, *arguments, **named):
        self.given = arguments, named


@pytest.fixture(autouse=True)
def module(monkeypatch):
    found = types.ModuleType("own_module")
    found.plain = lambda level: Made(level)
    found.seeded = lambda level="easy", *, seed, **more: Made(level, seed=seed, **more)
    found.Made, found.number, found.half = Made, 3, lambda: types.SimpleNamespace(obs_space={})
    monkeypatch.setitem(sys.modules, "own_module", found)


@pytest.mark.parametrize(
    ("task", "meant"),
    [("a.b:make", True), ("a:make/3", True), ("minigrid:MiniGrid-v0", False), ("Pong-v5", False)],
)
def test_ids_end_with_a_version(task, meant):
    assert own.is_own(task) == meant


@pytest.mark.parametrize(
    ("task", "more", "given"),
    [
        ("own_module:plain/hard", {}, (("hard",), {})),
        ("own_module:plain", {"level": 2}, ((2,), {})),
        ("own_module:seeded", {}, (("easy",), {"seed": 7})),
        ("own_module:seeded/hard", {"x": 1}, (("hard",), {"seed": 7, "x": 1})),
        ("own_module:Made", {}, ((), {"seed": 7})),
    ],
)
def test_what_a_function_is_called_with(task, more, given):
    assert own.create(task, 7, more).given == given


@pytest.mark.parametrize(
    ("task", "more", "words"),
    [
        ("own_module:number", {}, "is 3, expected a function or class"),
        ("own_module:plain", {}, r"cannot be called with \[\] and \{\}: missing.*'level'"),
        ("own_module:plain/a", {"level": 1}, "multiple values for argument 'level'"),
        ("own_module:half", {}, "lacks act_space, step"),
    ],
)
def test_what_cannot_be_is_named(task, more, words):
    with pytest.raises(UserError, match=rf"(?s){task}: .*{words}"):
        own.create(task, 7, more)
