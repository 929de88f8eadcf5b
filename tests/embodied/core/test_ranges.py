"""Ranges of settings and what is said of a value outside."""

import dataclasses
import math
from typing import Annotated

import pytest

from embodied.core import ranges
from embodied.core.ranges import OutOfRange, Range


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        (Range(0, 1), (0, 1, 0.5), (-1e-9, 1.0001, math.nan, math.inf, "0", True, None)),
        (Range(0, 1, above=True, below=True), (0.5,), (0, 1)),
        (Range(1), (1, 10**300), (0, math.inf, -math.inf, 10**400)),
        (Range(0, infinite=True), (0, math.inf), (-math.inf, math.nan)),
        (ranges.COUNT, (1, 2**31 - 1), (0, 2**31, 2**31 - 0.5)),
    ],
)
def test_what_lies_in_a_range(interval: Range, inside: tuple, outside: tuple) -> None:
    assert [value for value in inside if value not in interval] == []
    assert [value for value in outside if value in interval] == []


def test_words() -> None:
    assert str(Range(0, 1, below=True)) == "at least 0 and below 1"
    assert str(Range(0, above=True)) == "above 0"
    assert str(ranges.COUNT) == f"at least 1 and at most {2**31 - 1}"


@dataclasses.dataclass(frozen=True)
class Settings:
    rate: Annotated[float, ranges.SHARE, ranges.Note("of updates")] = 0.5
    name: str = ""


def test_annotated_fields_are_checked_and_named_in_full() -> None:
    ranges.check_fields(Settings())
    with pytest.raises(OutOfRange, match=r"^opt\.rate must be at least 0 and at most 1, got 2"):
        ranges.check_fields(Settings(rate=2), "opt.")
    with pytest.raises(OutOfRange, match="at most 1 and finite, got nan") as error:
        ranges.check_fields(Settings(rate=math.nan))
    assert error.value.under("opt.").name == "opt.rate"
    assert error.value.under("opt.").under("opt.").name == "opt.rate"
