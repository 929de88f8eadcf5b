"""Checks of suites' options that are words."""

from __future__ import annotations

from collections.abc import Sequence

from embodied.core.errors import UserError, nearest


def one_of(path: str, value: str, known: Sequence[str]) -> None:
    """Raises unless a word is one of those known.

    Args:
      path: the option, such as `env.atari.lives`.
      value: what was given.
      known: what may be.

    Raises:
      UserError: naming the nearest.
    """
    if value not in known:
        hint = nearest(value, known)
        raise UserError(f"{path} must be one of {', '.join(known)}, got {value!r}{hint}")
