"""Dotted keys: the flat form of a configuration, over which blocks and flags are laid.

A layer (a block, or the flags) is a flat mapping from dotted keys to values; a key with other
characters than those of names is a regular expression that sets every key it matches from the
start, as in DreamerV3.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from embodied.core.errors import UserError, nearest

# Keys below these are free: names of tasks and options that depend on other choices.
OPEN = ("balance.tasks", "balance.weights", "balance.options", "env.gym.kwargs", "env.gym.keys")
PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
MAX_LEAVES = 8  # So many keys that end alike are named.
MAX_DIGITS = 100  # More would only take time: no setting is as large.
Flat = dict[str, Any]


class UnknownKey(UserError):
    """A key that matches nothing.

    Args:
      key: the key.
      message: what is wrong.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Flat:
    """Flattens nested mappings to dotted keys; open mappings stay whole."""
    flat: Flat = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and path not in OPEN:
            flat.update(flatten(value, f"{path}."))
        else:
            flat[path] = value
    return flat


def nest(flat: Flat) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return tree


def update(flat: Flat, layer: Mapping[str, Any], source: str) -> Flat:
    """Returns `flat` with a layer of keys or regular expressions laid over it.

    Args:
      flat: dotted keys to values.
      layer: the same, or regular expressions; `harmony` is short for the balance method.
      source: for messages, such as "block atari100k".

    Raises:
      UnknownKey: a key that matches nothing.
      UserError: a value of the wrong type.
    """
    flat = dict(flat)
    for key, value in layer.items():
        if key == "method":  # As `label` was called once: plans of sweeps have it.
            key = "label"
        if key == "harmony":
            method = "harmony" if convert(value, False, key) else "fixed"
            flat["balance.method"] = method
            continue
        opened = next((path for path in OPEN if key == path or key.startswith(f"{path}.")), None)
        if opened:
            flat[opened] = _open(flat[opened], key.removeprefix(opened).lstrip("."), value, key)
            continue
        for match in _matches(key, flat, source):
            flat[match] = convert(value, flat[match], match)
    return flat


def _matches(key: str, flat: Flat, source: str) -> list[str]:
    for name in (key, key.replace("-", "_")):  # As words of the command line are often joined.
        if name in flat:
            return [name]
    if not PLAIN.fullmatch(key):
        try:
            pattern = re.compile(key)
        except re.error as error:
            raise UserError(f"{source}: {key!r} is no regular expression: {error}") from error
        matches = [name for name in flat if pattern.match(name)]
        if matches:
            return matches
    leaves = [name for name in flat if name.rpartition(".")[2] == key][:MAX_LEAVES]
    hint = f"; did you mean {', '.join(leaves)}?" if leaves else ""
    hint = hint or nearest(key, [*flat, "base", "harmony"])
    raise UnknownKey(key, f"{source}: unknown key {key!r}{hint}")


def _open(old: Mapping[str, Any], rest: str, value: Any, key: str) -> dict[str, Any]:
    """Sets `rest` (a dotted path) inside an open mapping; an empty one replaces it whole."""
    value = _scalar(value)
    if not rest:
        if not isinstance(value, Mapping):
            raise UserError(f"{key}: expected a mapping such as '{{a: 1}}', got {value!r}")
        return dict(value)
    head, _, tail = rest.partition(".")
    if not tail:
        return {**old, head: value}
    inner = old.get(head, {})
    return {**old, head: _open(inner if isinstance(inner, Mapping) else {}, tail, value, key)}


def _scalar(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        parsed = YAML(typ="safe", pure=True).load(value)
        json.dumps(parsed, default=str)  # An alias may make a mapping contain itself.
    except (YAMLError, ValueError, TypeError, RecursionError):
        return value  # A ValueError comes from dates such as 2020-99-99.
    if isinstance(parsed, str) and re.fullmatch(r"[+-]?[0-9.]+e[+-]?[0-9]+", parsed):
        return float(parsed)
    return parsed


def convert(value: Any, default: Any, key: str) -> Any:
    """Converts a value from yaml or the command line to the type of the default.

    Args:
      value: what was given.
      default: value whose type is expected.
      key: for the message.

    Raises:
      UserError: when it cannot be.
    """
    kind = type(default)
    if isinstance(default, list | tuple):
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise UserError(f"{key}: expected a list, got {value!r}")
        texts = [str(item).strip() for item in items]
        # Elements have the type of the default's, which is text where it has none.
        return tuple(convert(text, default[0] if default else "", key) for text in texts if text)
    if kind is str:
        return "" if value is None else str(value)
    text = str(value).strip()
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind in (int, float) and not isinstance(value, bool):
        try:
            return float(text) if kind is float else _whole(text)
        except (ValueError, InvalidOperation):
            pass
    raise UserError(f"{key}: expected {kind.__name__}, got {value!r}")


def _whole(text: str) -> int:
    """Reads a whole number exactly, `1e5` and `100.0` included; ValueError for others."""
    number = Decimal(text)
    if number.is_finite() and number.adjusted() < MAX_DIGITS and number == int(number):
        return int(number)
    raise ValueError(text)


def parse_flags(args: Iterable[str]) -> Flat:
    """Reads `--key value` and `--key=value` pairs; several values make a list.

    Raises:
      UserError: for a value without a flag, or a flag without a value.
    """
    flags: Flat = {}
    key: str | None = None
    for arg in args:
        if arg.startswith("--") and len(arg) > 2:
            key, equals, value = arg[2:].partition("=")
            flags[key] = [value] if equals else []
        elif key is None:
            raise UserError(f"expected a flag such as --seed 0, got {arg!r}")
        else:
            flags[key].append(arg)
    empty = [name for name, values in flags.items() if not values]
    if empty:
        raise UserError(f"flag --{empty[0]} needs a value")
    return {name: values[0] if len(values) == 1 else values for name, values in flags.items()}
