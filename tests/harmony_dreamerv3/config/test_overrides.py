"""Layers of dotted keys and regular expressions over a flat configuration."""

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3.config.overrides import (
    UnknownKey,
    convert,
    flatten,
    nest,
    parse_flags,
    update,
)

FLAT = {"a.x": 1, "a.y": 2.0, "b.x": 3, "names": ["p"], "on": False, "balance.method": "fixed",
        "balance.weights": {}, "label": ""}  # fmt: skip


def test_nested_and_flat_are_inverse_and_open_mappings_stay_whole() -> None:
    tree = {"a": {"x": 1, "b": {"y": 2}}, "balance": {"weights": {"reward": 3.0}}}
    assert flatten(tree) == {"a.x": 1, "a.b.y": 2, "balance.weights": {"reward": 3.0}}
    assert nest(flatten(tree)) == tree


def test_later_keys_and_patterns_win() -> None:
    new = update(FLAT, {r".*\.x": "7", "b.x": 9, "harmony": "True", "method": "m"}, "flag")
    assert (new["a.x"], new["b.x"], new["a.y"]) == (7, 9, 2.0)
    assert new["balance.method"] == "harmony" and new["label"] == "m"
    assert FLAT["a.x"] == 1
    assert update(FLAT, {"balance.weights.reward": "2.5"}, "flag")["balance.weights"] == {
        "reward": 2.5
    }


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("a.z", "block b: unknown key 'a.z'; did you mean"),
        ("y", "unknown key 'y'; did you mean a.y"),
        (r".*\.z", "unknown key"),
        ("(", "is no regular expression"),
    ],
)
def test_keys_that_match_nothing_are_named(key: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        update(FLAT, {key: 1}, "block b")
    assert key == "(" or isinstance(error.value, UnknownKey)


@pytest.mark.parametrize(
    ("value", "default", "result"),
    [
        ("1e5", 1, 100000),
        ("100.0", 1, 100),
        ("9007199254740993", 1, 9007199254740993),  # Not through a float.
        (3, 1.0, 3.0),
        ("true", False, True),
        ("a, b", ["x"], ("a", "b")),
        (None, "x", ""),
    ],
)
def test_values_have_the_type_of_the_default(
    value: object, default: object, result: object
) -> None:
    converted = convert(value, default, "key")
    assert converted == result and type(converted) is type(result)


@pytest.mark.parametrize(
    ("value", "default"), [("1.5", 1), ("1e1000", 1), (True, 1), ("maybe", False), ({}, ["x"])]
)
def test_values_of_other_types_are_refused(value: object, default: object) -> None:
    with pytest.raises(UserError, match=r"^key: expected "):
        convert(value, default, "key")


def test_flags() -> None:
    flags = parse_flags(["--a.x", "1", "--names", "p", "q", "--on=True"])
    assert flags == {"a.x": "1", "names": ["p", "q"], "on": "True"}
    for line in (["stray"], ["--a.x"]):
        with pytest.raises(UserError):
            parse_flags(line)


def test_whole_numbers_are_read_exactly():
    assert convert("9007199254740993", 0, "seed") == 2**53 + 1  # No float has this value.
    assert convert("1e5", 0, "seed") == convert("100000.0", 0, "seed") == 100_000
    assert convert("1e25", 0, "seed") == 10**25
    for text in ("1.5", "1e-1", "nan", "inf", "1e999999999", "1e-999999999", "", "ten"):
        with pytest.raises(UserError, match="seed: expected int"):
            convert(text, 0, "seed")


@pytest.mark.parametrize(
    ("words", "message"),
    [(["3"], "expected a flag"), (["--seed"], "needs a value"), (["--"], "expected a flag")],
)
def test_flags_without_sense(words, message):
    with pytest.raises(UserError, match=message):
        parse_flags(words)
