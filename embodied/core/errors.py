"""Errors that a person at the command line can act on."""

from __future__ import annotations

import difflib
import signal
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

_OURS = str(Path(__file__).parents[1])
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))


class UserError(Exception):
    """Wrong input: the message says what was expected, what came, and how to fix it.

    The command line prints the message without a traceback and exits with status 2.
    """


class EnvError(UserError):
    """An environment's own code failed, which a restart may mend; the message says where."""


def raised(error: BaseException) -> str:
    """Returns an error of foreign code in a line: its kind, its text, and where it was raised.

    Args:
      error: caught; the place is the innermost line outside of this package, if possible one that
        belongs to no library.
    """
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename[:1] != "<"]
    foreign = [frame for frame in frames if not frame.filename.startswith(_OURS)]
    own = [frame for frame in foreign if not frame.filename.startswith(_LIBRARIES)]
    place = (own or foreign)[-1:]
    where = "".join(f" ({f.filename}, line {f.lineno}, in {f.name})" for f in place)
    return f"{type(error).__name__}: {error}{where}"


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
