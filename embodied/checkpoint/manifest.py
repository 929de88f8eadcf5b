"""What makes a checkpoint: parts, and a text with its version and checksums of all files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embodied.checkpoint.files import CorruptFile, digest, read_regular
from embodied.core.errors import UserError

VERSION = 1

STEP = r"\d{12}(-\d\d)?"  # A second checkpoint of one step gets a number.
CHUNK = r"\d{12}\.safetensors"  # Of the replay.
NAME = re.compile(rf"(checkpoints/{STEP}|replay)/[A-Za-z0-9_][A-Za-z0-9._-]*")

_LARGEST = 2**28  # Bytes.
_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


Content = bytes | Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Part:
    """What a checkpoint holds of one folder."""

    state: Mapping[str, Any]  # plain data (numbers, strings, lists, dicts)
    # Bytes, or named arrays, by file name; written to `checkpoints/<step>/`.
    files: Mapping[str, Content]
    # Likewise, files that are new in `replay/`.
    replay: Mapping[str, Content] = dataclasses.field(default_factory=dict)
    kept: Sequence[str] = ()  # names of older files in `replay/` that still belong to it


@dataclasses.dataclass(frozen=True)
class Saved:
    """One folder's part of a checkpoint whose checksums are right."""

    folder: Path  # the run folder
    state: dict[str, Any]  # as it was given to `save`
    files: dict[str, Path]  # path by name, of the files of `checkpoints/<step>/`
    # Names of files in `replay/` that cannot be used; only where no checkpoint is whole.
    damaged: frozenset[str] = frozenset()


def seal(body: Mapping[str, Any]) -> bytes:
    """Returns the body as JSON together with the version and a checksum of both."""
    text = json.dumps(body)  # Keeps the order of keys: lines of records are among them.
    outer = {"version": VERSION, "sha256": _checksum(VERSION, text), "body": text}
    return json.dumps(outer).encode()


def unseal(path: Path, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Returns the body that `seal` was given, if whole.

    Args:
      path: the manifest.
      kinds: type of each value that the body must have.

    Raises:
      CorruptFile: when it is damaged.
      UserError: when it is whole and has an unknown version.
    """
    data = read_regular(path, _LARGEST)
    try:
        outer = json.loads(data)
        version, text = outer["version"], outer["body"]
        if _checksum(version, text) != outer["sha256"]:
            raise CorruptFile(f"{path} does not match its checksum")
        body = json.loads(text)
        if version == VERSION and not all(isinstance(body[key], kinds[key]) for key in kinds):
            raise CorruptFile(f"{path} lacks one of {list(kinds)}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFile(f"{path} is damaged: {error!r}") from error
    if version != VERSION:
        raise UserError(
            f"{path} has format version {version!r}, this program reads version {VERSION}; use "
            "the version of the program that wrote it, or choose another --logdir"
        )
    return body


def _checksum(version: object, text: str) -> str:
    return hashlib.sha256(f"{version}\n{text}".encode()).hexdigest()


def damaged_files(folder: Path, files: Mapping[str, Any], lenient: bool) -> frozenset[str]:
    """Verifies all files of a manifest.

    Args:
      folder: the run folder.
      files: size and checksum by path.
      lenient: let files of the replay be damaged.

    Returns:
      The names of damaged ones in the replay.

    Raises:
      CorruptFile: when another one is damaged.
    """
    damaged = set()
    for file, facts in files.items():
        try:
            verify(folder, file, facts)
        except CorruptFile:
            if not (lenient and NAME.fullmatch(file) and file.startswith("replay/")):
                raise
            damaged.add(file.removeprefix("replay/"))
    return frozenset(damaged)


def verify(folder: Path, file: str, facts: Any) -> None:
    """Raises CorruptFile unless the file is inside the folder, of the right size and contents."""
    path = folder / file
    if not isinstance(file, str) or not NAME.fullmatch(file):
        raise CorruptFile(f"{file!r} is not a plain file name")
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise CorruptFile(f"{path} is missing or lies elsewhere")
    if not isinstance(facts, dict) or path.stat().st_size != facts.get("bytes"):
        raise CorruptFile(f"{path} has {path.stat().st_size} bytes, expected {facts}")
    if path.stat().st_size > _MEMORY:
        raise CorruptFile(f"{path} is larger than this machine's memory")
    if digest(path) != facts.get("sha256"):
        raise CorruptFile(f"{path} does not match its checksum")
