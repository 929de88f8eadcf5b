"""Errors that a person at the command line can act on."""

from __future__ import annotations

import difflib
import signal
import sysconfig
import traceback
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_OURS = str(Path(__file__).parents[1])
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))


class UserError(Exception):
    """Wrong input: the message says what was expected, what came, and how to fix it.

    The command line prints the message without a traceback and exits with status 2.
    """


class EnvError(UserError):
    """An environment's own code failed, which a restart may mend; the message says where."""


class Stopped(UserError):
    """Waiting for an environment was given up, since the run was asked to stop."""


class Notice(RuntimeWarning):
    """What a person should know of an environment, though the run goes on."""


def notice(text: str) -> None:
    """Warns of something that does not end the run."""
    warnings.warn(text, Notice, stacklevel=2)


def show_notices() -> None:
    """From now on prints each `Notice` as one line, without the place in this program."""
    before = warnings.formatwarning

    def form(message: Any, category: type[Warning], *place: Any, **more: Any) -> str:
        if issubclass(category, Notice):
            return f"warning: {message}\n"
        return before(message, category, *place, **more)

    warnings.formatwarning = form


def raised(error: BaseException, otherwise: str = "") -> str:
    """Returns an error of foreign code in a line: its kind, its text, and where it was raised.

    Args:
      error: caught; the place is the innermost line outside of this package, if possible one that
        belongs to no library: if need be, of the error that a library put into its own words.
      otherwise: said in place of a library's line.
    """
    causes = [error]
    while (below := causes[-1].__cause__ or causes[-1].__context__) and below not in causes:
        causes.append(below)
    tracebacks = [traceback.extract_tb(each.__traceback__) for each in causes]
    foreign = [
        [f for f in frames if f.filename[:1] != "<" and not f.filename.startswith(_OURS)]
        for frames in tracebacks
    ]
    own = [[f for f in frames if not f.filename.startswith(_LIBRARIES)] for frames in foreign]
    places = [frames[-1] for frames in (*own, *([] if otherwise else foreign)) if frames]
    where = "".join(f" ({f.filename}, line {f.lineno}, in {f.name})" for f in places[:1])
    try:
        text = " ".join(str(error).split())
    except Exception:  # Its own text may fail.
        text = "(its text cannot be had)"
    return f"{type(error).__name__}{f': {text}' if text else ''}{where or otherwise}"


def defined(function: Any) -> str:
    """Returns where a foreign function, or a class's constructor, stands: ` (file, line 3)`.

    Nothing is said of one of this package or without source.
    """
    code = getattr(getattr(function, "__init__", None) if isinstance(function, type) else function,
                   "__code__", None)  # fmt: skip
    if code is None or code.co_filename.startswith(_OURS):
        return ""
    return f" ({code.co_filename}, line {code.co_firstlineno})"


def nearest(name: str, options: Iterable[str]) -> str:
    """Returns `; did you mean 'x'?` for the closest option, or the empty string."""
    options = [str(option) for option in options]
    close = difflib.get_close_matches(str(name), options, n=1, cutoff=0.5)
    if not close:
        lowered = {option.lower(): option for option in options}
        found = difflib.get_close_matches(str(name).lower(), list(lowered), n=1, cutoff=0.5)
        close = [lowered[match] for match in found]
    return f"; did you mean {close[0]!r}?" if close else ""


def one_of(path: str, value: str, known: Sequence[str]) -> None:
    """Raises UserError, with the nearest, unless the value of an option is one of those known."""
    if value not in known:
        hint = nearest(value, known)
        raise UserError(f"{path} must be one of {', '.join(known)}, got {value!r}{hint}")


def signal_name(number: int) -> str:
    """Returns `SIGTERM`, say, or `signal 40` for a number without a name."""
    known = {int(each): each.name for each in signal.Signals}
    return known.get(number, f"signal {number}")
