"""One file for each published agent, read from top to bottom like its paper."""

from __future__ import annotations

import importlib
from typing import Any

from harmony_dreamerv3.config import bases


def agent_class(base: str) -> Any:
    """Returns the class `Agent` of a base, importing it; see `base.Agent` for what it promises.

    Raises:
      UserError: for a base that does not exist.
    """
    bases.check(base)
    return importlib.import_module(f"harmony_dreamerv3.agents.{bases.MODULES[base][1]}").Agent
