"""Files that are either whole or absent, and arrays in them that need no trust."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from embodied.core.errors import UserError


class CorruptFile(UserError):
    """A file that is damaged, or not what it says it is."""


def write_atomic(path: Path, data: bytes) -> None:
    """Writes a file in an existing folder: at any moment there is the old one or the whole new one.

    Raises:
      OSError: as the system gives it; the old file is untouched and nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # It might be a link to elsewhere.
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_regular(path: Path, most: int) -> bytes:
    """Returns the contents of a file of unknown origin; a pipe or device might never end.

    Raises:
      CorruptFile: when it is no regular file, or has more than `most` bytes.
      OSError: as the system gives it.
    """
    # Without O_NONBLOCK the opening of a pipe waits for somebody who writes to it.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise CorruptFile(f"{path} is not a regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise CorruptFile(f"{path} is larger than {most} bytes")
    return data


def sync_folder(path: Path) -> None:
    """Makes the folder's entries survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(path: Path) -> str:
    """Returns the SHA-256 of a file, read in pieces."""
    if path.exists() and not path.is_file():  # A pipe would never end.
        raise CorruptFile(f"{path} is not a regular file")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encode(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns arrays of NumPy's own number types, of any shape, as a safetensors file."""
    return safetensors.numpy.save({k: np.asarray(v, order="C") for k, v in arrays.items()})


def decode(data: bytes, source: object) -> dict[str, np.ndarray]:
    """Returns the arrays of a safetensors file; nothing in it is ever executed.

    The format's reader refuses a shape that claims more than the file holds, so no more memory is
    used than the bytes given.

    Raises:
      CorruptFile: when it is not such a file; `source` is what the message calls it.
    """
    try:
        arrays = safetensors.numpy.load(data)
        return {name: array.copy() for name, array in arrays.items()}  # Writable.
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CorruptFile(f"{source} is damaged: {error}") from error
