"""Which version a function is traced in: the fast one, or that of the plain twins."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from typing import Any

_PLAIN = contextvars.ContextVar("plain", default=False)


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that computes the same with the plain twin of everything fast."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        token = _PLAIN.set(True)
        try:
            return function(*args, **kwargs)
        finally:
            _PLAIN.reset(token)

    return wrapped


def is_plain() -> bool:
    """Whether the function that is being traced is a plain one."""
    return _PLAIN.get()
