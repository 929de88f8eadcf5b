"""Errors that a person at the command line can act on."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable


class UserError(Exception):
    """Wrong input: the message says what was expected, what came, and how to fix it.

    The command line prints the message without a traceback and exits with status 2.
    """


def nearest(name: str, options: Iterable[str]) -> str:
    """Returns `; did you mean 'x'?` for the closest option, or the empty string.

    Args:
      name: what the user wrote.
      options: the names that exist.
    """
    options = [str(option) for option in options]
    close = difflib.get_close_matches(str(name), options, n=1, cutoff=0.5)
    if not close:
        lowered = {option.lower(): option for option in options}
        found = difflib.get_close_matches(str(name).lower(), list(lowered), n=1, cutoff=0.5)
        close = [lowered[match] for match in found]
    return f"; did you mean {close[0]!r}?" if close else ""


def signal_name(number: int) -> str:
    """Returns `SIGTERM`, say, or `signal 40` for a number without a name."""
    known = {int(each): each.name for each in signal.Signals}
    return known.get(number, f"signal {number}")
