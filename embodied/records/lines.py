"""Reading records of our own: lines of JSON, of which the last may be unfinished."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def tail(path: Path, most: int) -> bytes:
    """Returns at most so many last bytes of a file; none where it cannot be read."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read()
    except OSError:
        return b""


def read_lines(path: Path, most: int = 2**40, needle: bytes = b"") -> list[dict[str, Any]]:
    """Returns the whole lines of a record; none where there is no file.

    Args:
      path: the file.
      most: bytes at its end that are looked at.
      needle: lines without these bytes are left out unparsed.
    """
    records = []
    for line in tail(path, most).splitlines():
        if needle in line:
            try:
                record = json.loads(line)
            except ValueError:  # Cut off, or still being written.
                continue
            if isinstance(record, dict):
                records.append(record)
    return records
