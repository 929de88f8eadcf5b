"""What each key means: from the settings' docstrings, ranges and symbols, and in docs/config.md."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_type_hints

import embodied.envs
from embodied.core.ranges import MAX_COUNT, Note, Range
from harmony_dreamerv3.config import bases
from harmony_dreamerv3.config.blocks import blocks, defaults
from harmony_dreamerv3.config.build import build, to_dict
from harmony_dreamerv3.config.overrides import OPEN, Flat, flatten
from harmony_dreamerv3.config.settings import Config


class Key(NamedTuple):
    """One key; what is not known is empty."""

    name: str
    meaning: str
    unit: str
    range: str
    symbol: str

    @property
    def notes(self) -> str:
        """Unit, range and symbol in one line."""
        symbol = f"{self.symbol} in the paper" if self.symbol else ""
        unit = "" if self.unit in self.meaning else self.unit
        return "; ".join(filter(None, (unit, self.range, symbol)))


def keys(base: str) -> list[Key]:
    """Every key of a base's configurations, in the order of the files."""
    agent = bases.agent_config(base)
    found: list[Key] = []
    for key in _keys(Config, ""):
        if key.name == "agent":
            found += _keys(agent, "")
        elif key.name == "env":
            for name, suite in embodied.envs.suites().items():
                found += _keys(suite.options, f"env.{name}.")
        else:
            found.append(key)
    return found


def _keys(cls: Any, prefix: str) -> Iterator[Key]:
    plain, full = get_type_hints(cls), get_type_hints(cls, include_extras=True)
    meanings = _meanings(cls)
    for field in dataclasses.fields(cls):
        name, kind = f"{prefix}{field.name}", plain[field.name]
        if dataclasses.is_dataclass(kind):
            yield from _keys(kind, f"{name}.")
            continue
        notes = getattr(full[field.name], "__metadata__", ())
        note = next((each for each in notes if isinstance(each, Note)), Note())
        allowed = next((each for each in notes if isinstance(each, Range)), None)
        words = _words(allowed) if allowed else ""
        yield Key(name, meanings.get(field.name, ""), note.unit, words, note.symbol)


def _meanings(cls: Any) -> dict[str, str]:
    """The sections `Args` of docstrings, of parents first: field to what is said of it."""
    entries: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        _, _, section = inspect.cleandoc(each.__doc__ or "").partition("Args:\n")
        entries.update(re.findall(r"^  (\w+): (.*(?:\n    .*)*)", section, re.MULTILINE))
    return {name: " ".join(text.split()).rstrip(".") for name, text in entries.items()}


def _words(allowed: Range) -> str:
    if allowed.high == MAX_COUNT:
        allowed = dataclasses.replace(allowed, high=math.inf)
    return str(allowed)


def value(flat: Mapping[str, Any], name: str) -> str:
    """A value as it is written on the command line."""
    found = flat[name]
    if isinstance(found, list | tuple):
        return " ".join(map(str, found)) or "(none)"
    return repr(found) if found == "" else str(found)


def text(base: str, flat: Flat, paper: bool = False) -> str:
    """Each key with its value and what it means.

    Args:
      base: the base.
      flat: its configuration.
      paper: only keys for which the paper has a symbol.
    """
    lines = []
    for key in keys(base):
        if paper and not key.symbol:
            continue
        lines.append(f"{key.name}: {value(flat, key.name)}")
        notes = f" ({key.notes})" if key.notes else ""
        lines.append(f"    {key.meaning or 'see its suite'}{notes}")
    return "\n".join(lines)


def difference(names: tuple[str, str], first: Flat, second: Flat) -> str:
    """The keys that two configurations do not share, with both values; see `text`."""
    lines = []
    for name in dict.fromkeys([*first, *second]):
        if first.get(name) != second.get(name):
            values = (value(flat, name) if name in flat else "-" for flat in (first, second))
            shown = ", ".join(f"{value} in {label}" for label, value in zip(names, values))
            lines.append(f"{name}: {shown}")
    return "\n".join(lines) or "no key differs"


def page() -> str:
    """The text of docs/config.md."""
    every = blocks()
    lines = [
        "# Every key of a configuration",
        "",
        "Written by `harmony-dreamerv3 config --markdown`. Each key is a flag of `train`.",
        "`harmony-dreamerv3 config BLOCK...` prints the values of blocks, `--diff A B` those that",
        "two blocks do not share.",
    ]
    common: list[str] = []
    for base in bases.MODULES:
        flat, own = flatten(to_dict(build(defaults(every, base)))), bases.keys(base)
        rows = {key: _row(key, flat) for key in keys(base)}
        agent = [row for key, row in rows.items() if key.name.partition(".")[0] in own]
        if not common:
            common = [row for row in rows.values() if row not in agent]
            lines += ["", "## Every base", *_table(common)]
        lines += ["", f"## Base {base}", *_table(agent)]
    return "\n".join(lines) + "\n"


def _table(rows: list[str]) -> list[str]:
    return ["", "| key | default | meaning |", "| --- | --- | --- |", *rows]


def _row(key: Key, flat: Flat) -> str:
    notes = f" ({key.notes})" if key.notes else ""
    default = "see configs.yaml" if key.name in OPEN and flat[key.name] else value(flat, key.name)
    return " | ".join([f"| `{key.name}`", f"`{default}`", f"{key.meaning}{notes} |"])
