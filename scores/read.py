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
MAX_RUNS = 20_000  # of one file
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
    number, bad, rest = 1, 0, b""
    try:
        with open(path, "rb") as file:
            while block := file.read(MAX_LINE):
                *lines, rest = (rest + block).split(b"\n")
                if len(rest) > MAX_LINE:
                    yield BadFile(f"line {number + len(lines)} is too long; stopped there")
                    return
                for found in _records(lines, number, needle):
                    bad += isinstance(found, BadFile)
                    yield found
                    if bad > MAX_BAD_LINES:
                        yield BadFile("too many such lines; the rest is left out")
                        return
                number += len(lines)
        yield from _records([rest], number, needle)
    except OSError as error:
        yield BadFile(f"cannot be read ({error.strerror or error})")


def _records(lines: list[bytes], first: int, needle: bytes) -> Iterator[dict | BadFile]:
    """Parses lines, of which the first has that number: at once, and one by one if one is bad."""
    wanted = [line for line in lines if needle in line]
    whole = all(line.endswith(b"}") for line in lines if line)
    try:
        found = json.loads(b"[" + b",".join(wanted) + b"]") if whole else []
    except (ValueError, RecursionError):
        found = []
    if whole and len(found) == len(wanted) and all(isinstance(each, dict) for each in found):
        yield from found
        return
    for number, line in enumerate(lines, first):
        line = line.strip()
        if (line.endswith(b"}") and needle not in line) or not line:
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            yield record
        else:
            yield BadFile(f"line {number} is not a JSON object (cut short?)")
