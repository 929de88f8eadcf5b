"""The lines a run leaves behind: metrics.jsonl and episodes.jsonl."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embodied.checkpoint.files import write_atomic
from embodied.core.errors import UserError

FILES = ("metrics.jsonl", "episodes.jsonl")

Line = tuple[str, dict[str, Any]]  # File name, values.


class Records:
    """Appends whole lines, in an order that does not depend on when background work finishes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[Line] | None = None

    @property
    def empty(self) -> bool:
        """Whether no line was ever written."""
        paths = [self._folder / name for name in FILES]
        return not any(path.exists() and path.stat().st_size for path in paths)

    def write(self, name: str, values: Mapping[str, Any]) -> None:
        """Appends a line to one of `FILES`, or keeps it back while `hold` is on.

        A number that is not finite becomes null.

        Raises:
          UserError: when the disk refuses.
        """
        if self._held is not None:
            self._held.append((name, dict(values)))
        else:
            self._append(name, values)

    def hold(self) -> None:
        """Keeps later lines back until `release`."""
        self._held = [] if self._held is None else self._held

    def release(self, block: list[Line]) -> None:
        """Writes a block of lines, then those that were kept back meanwhile."""
        held, self._held = self._held or [], None
        for name, values in [*block, *held]:
            self._append(name, values)

    def save(self) -> tuple[dict[str, bytes], list[Line]]:
        """Returns the contents of the files and the lines kept back."""
        contents = {}
        for name in FILES:
            path = self._folder / name
            contents[name] = path.read_bytes() if path.exists() else b""
        return contents, list(self._held or [])

    def load(self, contents: Mapping[str, bytes], held: list[Line] | None) -> None:
        """Makes the files what they were at `save`, whatever has happened to them since.

        `held` is None when no lines are being kept back.

        Raises:
          UserError: when the disk refuses.
        """
        for name in FILES:
            try:
                write_atomic(self._folder / name, contents[name])
            except OSError as error:
                raise _refused(self._folder / name, error) from error
        self._held = None if held is None else list(held)

    def _append(self, name: str, values: Mapping[str, Any]) -> None:
        clean = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in values.items()
        }
        append_line(self._folder / name, clean)


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Appends one line of JSON in one write, never through a symbolic link.

    Raises:
      UserError: when the disk refuses.
    """
    data = (json.dumps(values, allow_nan=False) + "\n").encode()
    try:
        # O_NONBLOCK: a pipe without a reader is an error, not a wait for ever.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(path, flags, 0o644)
        try:
            if os.write(file, data) != len(data):
                raise OSError("no space left on the disk")
        finally:
            os.close(file)
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write {path}: {error}; free some space and run the same command again to "
        "continue from the last checkpoint"
    )
