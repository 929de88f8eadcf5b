"""Settings that check their own values: what those of all bases are made of."""

from __future__ import annotations

import dataclasses
import re

from embodied.core import ranges
from embodied.core.errors import nearest
from embodied.core.ranges import OutOfRange


class Checked:
    """Settings whose fields are checked against the ranges in their annotations."""

    def __post_init__(self) -> None:
        ranges.check_fields(self)


def one_of(settings: object, name: str, words: tuple[str, ...]) -> None:
    """Raises OutOfRange unless a field is one of `words`."""
    value = getattr(settings, name)
    if value not in words:
        hint = nearest(value, words) if isinstance(value, str) else ""
        raise OutOfRange(name, f"must be one of {', '.join(words)}, got {value!r}{hint}")


@dataclasses.dataclass(frozen=True)
class Keyed(Checked):
    """An encoder or decoder that chooses its keys by patterns.

    Args:
      mlp_keys: regular expression of the vectors that it sees, matched from the start.
      cnn_keys: likewise of the images.
    """

    mlp_keys: str
    cnn_keys: str

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("mlp_keys", "cnn_keys"):
            pattern = getattr(self, name)
            try:
                re.compile(pattern)
            except (re.error, RecursionError, OverflowError) as error:
                raise OutOfRange(
                    name, f"must be a regular expression, got {pattern!r}: {error}"
                ) from error
