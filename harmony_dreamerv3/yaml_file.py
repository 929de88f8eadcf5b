"""Reading yaml files that may come from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from embodied.core.errors import UserError

MAX_BYTES = 2**20
MAX_VALUES = 10_000  # Aliases are counted wherever they are used.
MAX_DEPTH = 20


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a yaml mapping without tags that could execute anything.

    Raises:
      UserError: when the file cannot be read, is not a mapping, or is unreasonably large.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UserError(f"{path} is larger than {MAX_BYTES} bytes; no configuration is")
        value = YAML(typ="safe", pure=True).load(data.decode("utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path} as yaml: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"expected a mapping in {path}, got {type(value).__name__}")
    _check_size(value, path)
    return value


def _check_size(value: Any, path: Path) -> None:
    """Refuses what aliases blow up: to whoever walks through it, it is as large as it looks."""
    count, left = 0, [(value, 0)]
    while left:
        item, depth = left.pop()
        inner = list(item.values()) if isinstance(item, dict) else item
        if isinstance(inner, list):
            count += len(inner)
            left += [(each, depth + 1) for each in inner]
        if count > MAX_VALUES or depth > MAX_DEPTH:
            raise UserError(
                f"{path} holds more than {MAX_VALUES} values or {MAX_DEPTH} levels; no "
                "configuration does"
            )
