"""Yaml of unknown origin, looked over before anything is built from it.

Aliases, and merge keys (`<<`) most of all, let some hundred bytes stand for billions of values. So
the events of the parser are counted first: they are as many as the file is long.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

MAX_VALUES = 10_000  # Aliases are counted wherever they are used.
MAX_DEPTH = 20
MAX_TEXT = 2_000  # Characters of one value: numbers of a million digits take minutes.


@dataclasses.dataclass
class _Open:
    """A mapping or list whose end has not come yet."""

    mapping: bool
    anchor: str | None = None
    events: int = 0  # Keys and values that lie in it directly.
    values: int = 0  # All values in it, aliases written out.
    depth: int = 0


def load_foreign(text: str) -> Any:
    """Reads yaml without tags that could execute anything, and without merge keys.

    Args:
      text: of the file.

    Returns:
      Nested dicts and lists; None for an empty file.

    Raises:
      ValueError: when it is no yaml, has merge keys, or is unreasonably large once its aliases are
        written out.
    """
    try:
        _look_over(text)
        return YAML(typ="safe", pure=True).load(text)
    except ValueError:
        raise
    except (YAMLError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        raise ValueError(str(error) or repr(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _look_over(text: str) -> None:
    """Raises ValueError for what `load_foreign` refuses."""
    known: dict[str, tuple[int, int] | None] = {}  # Values and depth by anchor; None: still open.
    levels = [_Open(mapping=False)]
    for event in YAML(typ="safe", pure=True).parse(text):
        values, depth = 1, 0
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            done = levels.pop()
            values, depth = done.values + 1, done.depth + 1
            if done.anchor:
                known[done.anchor] = (values, depth)
        elif not isinstance(event, NodeEvent):
            continue
        else:
            _check_node(event, levels[-1])
            levels[-1].events += 1
            if isinstance(event, MappingStartEvent | SequenceStartEvent):
                if event.anchor:
                    known[event.anchor] = None
                levels.append(_Open(isinstance(event, MappingStartEvent), event.anchor))
                values = 0  # Counted at its end.
            elif isinstance(event, AliasEvent):
                found = known.get(event.anchor, (1, 0))  # Building it complains of unknown ones.
                values, depth = (MAX_VALUES + 1, 0) if found is None else found
            elif event.anchor:
                known[event.anchor] = (1, 0)
        levels[-1].values += values
        levels[-1].depth = max(levels[-1].depth, depth)
        if levels[-1].values > MAX_VALUES or levels[-1].depth + len(levels) > MAX_DEPTH:
            raise ValueError(
                f"it holds more than {MAX_VALUES} values or {MAX_DEPTH} levels; no configuration "
                "does"
            )


def _check_node(event: Event, level: _Open) -> None:
    """Refuses merge keys, keys that are no plain words, and texts without end."""
    if isinstance(event, ScalarEvent) and len(event.value) > MAX_TEXT:
        raise ValueError(f"a value in it has more than {MAX_TEXT} characters")
    if not level.mapping or level.events % 2:
        return
    if not isinstance(event, ScalarEvent):
        raise ValueError("a key in it is a list, a mapping or an alias")
    if event.value == "<<" or "merge" in str(event.tag):
        raise ValueError("it uses merge keys (<<), which are not read; write the keys out")
