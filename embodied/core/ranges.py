"""Ranges of numbers in settings: a table beside the fields says what makes sense."""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
from collections.abc import Mapping
from typing import Any, get_type_hints

from embodied.core.errors import UserError

MAX_COUNT = 2**31 - 1  # Draws are keyed by counts of 32 bits, half of which name other purposes.


class OutOfRange(UserError):
    """A setting outside its range; its name is dotted where its place is known."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")
        self.name = name
        self.problem = problem

    def under(self, prefix: str) -> OutOfRange:
        """Returns the same, said of the full name; `prefix` ends with a dot or is empty."""
        known = self.name.startswith(prefix)
        return OutOfRange(self.name if known else prefix + self.name, self.problem)


@dataclasses.dataclass(frozen=True)
class Range:
    """An interval of finite numbers."""

    low: float  # its lower end, which belongs to it
    high: float = math.inf  # its upper end, which belongs to it where it is finite
    above: bool = False  # the lower end does not belong to it
    below: bool = False  # the upper end does not belong to it
    infinite: bool = False  # an infinite upper end belongs to it, too

    def __contains__(self, value: Any) -> bool:
        """Whether a value is a number inside."""
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            return False
        try:
            number = float(value)
        except OverflowError:
            return False
        if not math.isfinite(number):
            return self.infinite and value == self.high
        exact: Any = value  # A float has no room for the last digits of a large whole number.
        enough = exact > self.low if self.above else exact >= self.low
        return bool(enough and (exact < self.high if self.below else exact <= self.high))

    def __str__(self) -> str:
        """The interval in words, such as `at least 0 and below 1`."""
        words = f"{'above' if self.above else 'at least'} {self.low}"
        if self.high < math.inf:
            words += f" and {'below' if self.below else 'at most'} {self.high}"
        return words


COUNT = Range(1, MAX_COUNT)
COUNT_OR_NONE = Range(0, MAX_COUNT)
POSITIVE = Range(0, above=True)
NOT_NEGATIVE = Range(0)
SHARE = Range(0, 1)
SHARE_BELOW_ONE = Range(0, 1, below=True)


@dataclasses.dataclass(frozen=True)
class Note:
    """What a setting's number means, beside its range: `Annotated[int, COUNT, Note("updates")]`."""

    unit: str = ""  # such as `agent steps`
    symbol: str = ""  # what the paper calls it


def check_fields(settings: Any, prefix: str = "") -> None:
    """Raises OutOfRange unless each field annotated with a Range lies in it; see `check`."""
    cls: Any = type(settings)
    check(settings, _annotated(cls), prefix)


@functools.cache
def _annotated(cls: Any) -> dict[str, Range]:
    hints = get_type_hints(cls, include_extras=True)
    notes = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name: each for name, some in notes.items() for each in some if isinstance(each, Range)}


def check(settings: Any, ranges: Mapping[str, Range], prefix: str = "") -> None:
    """Raises unless every named field lies in its range.

    Args:
      settings: the object.
      ranges: by name of a field.
      prefix: what stands before the names on the command line, such as `run.`; empty where it is
        not known, for `OutOfRange.under`.

    Raises:
      OutOfRange: naming the field, its range and its value.
    """
    for name, allowed in ranges.items():
        value = getattr(settings, name)
        if value not in allowed:
            infinite = value != value or value in (math.inf, -math.inf)
            finite = " and finite" if infinite and not allowed.infinite else ""
            problem = f"must be {allowed}{finite}, got {value!r}"
            raise OutOfRange(prefix + name, problem)
