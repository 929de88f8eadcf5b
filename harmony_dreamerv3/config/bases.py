"""The bases: which agents there are, and where their settings and code lie."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

from embodied.core.errors import UserError, nearest

DEFAULT = "dreamerv3"
# Base -> module of its `AgentConfig` in `config`, and of its `Agent` in `agents`.
MODULES = {
    "dreamerv3": ("dreamerv3", "dreamerv3"),
    "dreamerv3_2025": ("dreamerv3_2025", "dreamerv3_2025"),
    "dreamerv2": ("dreamerv2", "dreamerv2"),
}


def check(base: str) -> None:
    """Raises UserError for a base that does not exist."""
    if base not in MODULES:
        raise UserError(
            f"base: expected one of {', '.join(MODULES)}, got {base!r}{nearest(base, MODULES)}"
        )


def agent_config(base: str) -> Any:
    """Returns the class of a base's settings, importing it.

    Raises:
      UserError: for a base that does not exist.
    """
    check(base)
    module = importlib.import_module(f"harmony_dreamerv3.config.{MODULES[base][0]}")
    return module.AgentConfig


def keys(base: str) -> tuple[str, ...]:
    """Names of the fields of a base's settings, which stand at the top of a configuration."""
    return tuple(field.name for field in dataclasses.fields(agent_config(base)))
