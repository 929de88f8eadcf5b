"""The arguments of the verbs; what they are called and mean is in data/arguments.json."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from scores.names import data
from scores.protocol import PROTOCOLS


def count(text: str) -> int:
    """Parses a whole number of at least 1, such as `4e5`."""
    try:
        value = int(float(text))
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return value


TYPES = {"count": count, "path": Path}


def summary(verb: str) -> str:
    """Returns what a verb does, in a line."""
    return data("arguments")["verbs"][verb]["help"]


def fill(parser: argparse.ArgumentParser, verb: str) -> None:
    """Adds a verb's arguments to its parser: each is what all verbs have in common, and changes."""
    texts = data("arguments")
    parser.description = texts["verbs"][verb].get("description")
    for name, changes in texts["verbs"][verb]["arguments"].items():
        parser.add_argument(name, **_filled(texts["common"].get(name, {}) | changes))


def _filled(argument: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings of an argument with its type and with whole texts."""
    if "type" in argument:
        argument["type"] = TYPES[argument["type"]]
    if "help" in argument:
        protocols = "; ".join(f"{name}: {what}" for name, what in PROTOCOLS.items())
        text = argument["help"].replace("{protocols}", protocols)
        argument["help"] = text.replace("{source}", data("arguments")["source"])
    return argument
