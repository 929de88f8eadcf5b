"""Reading files of unknown origin within bounded memory."""

from __future__ import annotations

import gzip
import json
import re
import struct
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


def read_jsonl(path: Path, pattern: str) -> Iterator[dict | BadFile]:
    """Streams the records of a file of JSON lines; those without the pattern are skipped unparsed.

    Yields:
      Each record, or a BadFile for a line that is none (the others still come).
    """
    number, bad, rest = 1, 0, b""
    wanted = re.compile(pattern.encode()).search
    try:
        with open(path, "rb") as file:
            while block := file.read(MAX_LINE):
                *lines, rest = (rest + block).split(b"\n")
                if len(rest) > MAX_LINE:
                    yield BadFile(f"line {number + len(lines)} is too long; stopped there")
                    return
                for record in _records(lines, number, wanted):
                    bad += isinstance(record, BadFile)
                    yield record
                    if bad > MAX_BAD_LINES:
                        yield BadFile("too many such lines; the rest is left out")
                        return
                number += len(lines)
        yield from _records([rest], number, wanted)
    except OSError as error:
        yield BadFile(f"cannot be read ({error.strerror or error})")


def _records(lines: list[bytes], first: int, wanted: Any) -> Iterator[dict | BadFile]:
    """Parses lines, of which the first has that number: at once, and one by one if one is bad."""
    matches = [line for line in lines if wanted(line)]
    whole = all(line.endswith(b"}") for line in lines if line)
    try:
        records = json.loads(b"[" + b",".join(matches) + b"]") if whole else []
    except (ValueError, RecursionError):
        records = []
    if whole and len(records) == len(matches) and all(isinstance(each, dict) for each in records):
        yield from records
        return
    for number, line in enumerate(lines, first):
        line = line.strip()
        if not line or (line.endswith(b"}") and not wanted(line)):
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            yield record
        else:
            yield BadFile(f"line {number} is not a JSON object (cut short?)")


def read_events(path: Path) -> Iterator[dict | BadFile]:
    """Streams the scalars of a file of TensorBoard events as records {step, tag: value}.

    A record of the file is its length, a checksum, the event and a checksum; the lengths bound
    what is read, so the checksums are passed over. What a killed run was writing ends the file.
    """
    from google.protobuf.message import DecodeError  # Lazy: only such files need it.
    from tensorboardX.proto.event_pb2 import Event

    try:
        with open(path, "rb") as file:
            while len(head := file.read(12)) == 12:
                (size,) = struct.unpack("<Q", head[:8])
                if size > MAX_BYTES:
                    yield BadFile(f"an event of {size} bytes; stopped there")
                    return
                data = file.read(size + 4)
                if len(data) < size + 4:
                    yield BadFile("cut short")
                    return
                event = Event.FromString(data[:-4])
                record: dict[str, Any] = {"step": event.step}
                for value in event.summary.value:
                    if value.HasField("simple_value"):
                        record[value.tag] = value.simple_value
                    elif value.HasField("tensor") and len(value.tensor.float_val) == 1:
                        record[value.tag] = value.tensor.float_val[0]
                    elif value.HasField("tensor") and len(value.tensor.tensor_content) == 4:
                        (record[value.tag],) = struct.unpack("<f", value.tensor.tensor_content)
                if len(record) > 1:
                    yield record
    except DecodeError as error:
        yield BadFile(f"not a file of TensorBoard events ({error})")
    except OSError as error:
        yield BadFile(f"cannot be read ({error.strerror or error})")
