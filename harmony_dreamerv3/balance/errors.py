"""Mistakes in how a balancer is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BalanceError(ValueError):
    """A wrong method, option or task; the message says what was expected, and what came."""


def nearest(name: str, options: Iterable[str]) -> str:
    """Returns `; did you mean 'x'?` for the closest option, or the empty string."""
    close = difflib.get_close_matches(str(name), list(options), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
