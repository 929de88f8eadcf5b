"""The state in a checkpoint is checked before anything of it is used."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest

from embodied.checkpoint.files import CorruptFile
from embodied.run.member_state import MemberState

STATE: dict[str, Any] = {
    "seed": 3, "batch_length": 4, "run.envs": 2, "machine": "none", "step": 10, "updates": 2,
    "episodes": 1, "returns": {"train": 1.5},
    "running": {"totals": [0.0, 1.0], "lengths": [0, 3], "success": [False, True]},
    "means": {"names": ["a"], "sums": [1.0], "counts": [2]},
    "evaluated": -1, "pending": [10, 2], "held": [["metrics.jsonl", {"step": 1, "x": None}]],
    "replay": {
        "counts": [5, 5], "lost": [0, 0], "ring": 9,
        "chunks": [{"name": "x", "first": [0, 0], "last": [5, 5]}],
    },
    "frozen": None,
    "draws": {"began": None, "served": 0, "items": [], "pieces": []},
}  # fmt: skip


def test_what_is_written_is_read_again() -> None:
    state = MemberState.from_plain(json.loads(json.dumps(STATE)))
    assert state.plain() == STATE and state.envs == 2


def test_states_of_earlier_versions_lack_the_draws() -> None:
    old = {key: value for key, value in STATE.items() if key != "draws"}
    assert MemberState.from_plain(old).draws is None


@pytest.mark.parametrize("key", [key for key in STATE if key != "draws"])
@pytest.mark.parametrize("value", ["absent", True, 2.5, [None], {"x": []}])
def test_every_value_is_checked(key: str, value: Any) -> None:
    state = copy.deepcopy(STATE)
    if value == "absent":
        del state[key]
    else:
        state[key] = value
    with pytest.raises(CorruptFile, match=f"no proper value of '{key}'"):
        MemberState.from_plain(state)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("running", "lengths"), [1]),
        (("running", "success"), [1, 0]),
        (("means", "counts"), [0]),
        (("means", "names"), []),
        (("pending",), [1, 2, 3]),
        (("held",), [["elsewhere", {}]]),
        (("held",), [["metrics.jsonl", {"x": []}]]),
        (("replay", "lost"), [0]),
        (("replay", "chunks"), [{"name": "x", "first": [0, 0]}]),
        (("draws", "served"), -1),
        (("seed",), True),
        (("step",), 2**48),
    ],
)
def test_wrong_values_are_named(path: tuple[str, ...], value: Any) -> None:
    state = copy.deepcopy(STATE)
    inner = state
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(CorruptFile, match=f"no proper value of '{path[0]}'"):
        MemberState.from_plain(state)


@pytest.mark.parametrize("state", [None, [], 3, "x"])
def test_no_state_at_all(state: Any) -> None:
    with pytest.raises(CorruptFile, match="no proper value of 'seed'"):
        MemberState.from_plain(state)


def test_every_field_has_a_form() -> None:
    names = {field.name for field in dataclasses.fields(MemberState)}
    assert names == {"envs" if key == "run.envs" else key for key in STATE}
