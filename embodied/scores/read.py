"""Reading files of unknown origin within bounded memory."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_BYTES = 32 * 2**20  # of one JSON or CSV file, after decompression
MAX_LINE = 2**20  # of one JSON line
MAX_BAD_LINES = 100  # of one file, before the rest is given up
MAX_POINTS = 2_000_000  # of one run
MAX_SEEDS = 200  # of one game in one column
MAX_GAMES = 1_000  # in one column


class BadFile(Exception):
    """A file, or a part of one, that cannot be used; the message is the reason."""


def read_text(path: Path) -> str:
    """Reads a whole file, unpacking it if its name ends in `.gz`.

    Raises:
      BadFile: unreadable, not gzip, cut short, too large, or not UTF-8.
    """
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except gzip.BadGzipFile as error:
        raise BadFile("not a gzip file though its name ends in .gz") from error
    except (EOFError, zlib.error) as error:
        raise BadFile(f"damaged or cut short gzip data ({error})") from error
    except OSError as error:
        raise BadFile(f"cannot be read ({error.strerror or error})") from error
    if len(data) > MAX_BYTES:
        raise BadFile(f"larger than {MAX_BYTES >> 20} MiB unpacked; no score file is")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFile(f"not UTF-8 text ({error.reason} at byte {error.start})") from error


def read_json(path: Path) -> Any:
    """Reads a JSON file, packed or not.

    Raises:
      BadFile: see `read_text`, or not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFile(f"not JSON, perhaps cut short ({error})") from error


def read_jsonl(path: Path, needle: bytes) -> Iterator[dict | BadFile]:
    """Streams the records of a file of JSON lines.

    Args:
      path: the file.
      needle: lines without these bytes are skipped unparsed.

    Yields:
      Each record, or a BadFile for a line that is none (the others still come).
    """
    number = bad = 0
    try:
        with open(path, "rb") as file:
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE or bad == MAX_BAD_LINES:
                    yield BadFile(f"no record of scores; reading stopped at line {number}")
                    return
                record = _record(line, needle)
                if record is None:
                    bad += 1
                    yield BadFile(f"line {number} is not a JSON object (cut short?)")
                elif record:
                    yield record
    except OSError as error:
        yield BadFile(f"cannot be read ({error.strerror or error})")


def _record(line: bytes, needle: bytes) -> dict | None:
    """Returns one line's record, {} for a line that need not be parsed, None for a bad one."""
    line = line.strip()
    if needle not in line:
        return {} if not line or line.endswith(b"}") else None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
