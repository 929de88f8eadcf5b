"""Checks of suites' options that are words."""

from __future__ import annotations

from collections.abc import Sequence

from embodied.core.errors import UserError, nearest


def one_of(path: str, value: str, known: Sequence[str]) -> None:
    """Raises UserError, with the nearest, unless the value of an option is one of those known."""
    if value not in known:
        hint = nearest(value, known)
        raise UserError(f"{path} must be one of {', '.join(known)}, got {value!r}{hint}")
