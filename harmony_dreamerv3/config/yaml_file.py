"""Reading yaml files that may come from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from embodied.checkpoint.files import read_regular
from embodied.core.errors import UserError
from embodied.core.foreign_yaml import load_foreign

MAX_BYTES = 2**20


def read_yaml(path: Path, shipped: bool = False) -> dict[str, Any]:
    """Reads a yaml mapping without tags that could execute anything.

    Args:
      path: a regular file.
      shipped: it is part of this program, so it may use merge keys and be of any size.

    Raises:
      UserError: when the file cannot be read, is not a mapping, has merge keys, or is unreasonably
        large.
    """
    try:
        text = read_regular(path, MAX_BYTES).decode("utf-8")
        value = YAML(typ="safe", pure=True).load(text) if shipped else load_foreign(text)
    except UserError as error:
        raise UserError(f"{error}; no configuration is") from error
    except (OSError, UnicodeDecodeError, YAMLError, ValueError) as error:
        raise UserError(f"cannot read {path} as yaml: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"expected a mapping in {path}, got {type(value).__name__}")
    return value
