"""Reading golden bundles: `.npz` files of another program, so nothing in them is trusted."""

from __future__ import annotations

import dataclasses
import json
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from embodied.core.errors import UserError, nearest

MAX_BYTES = 4 << 30  # of all arrays together, unpacked
PARTS = ("params", "batch", "expect")
# What only some have: a second batch, a state before the first step, numbers to draw with.
MORE = ("batch2", "carry", "noise", "aug")
FLAGS = ("is_first", "is_last", "is_terminal")
DTYPES = ("bool", "uint8", "int32", "int64", "float32", "float64")
# What `meta` of every bundle must have, and of all but DreamerPro's, whose one task is fixed.
META = {"configs": list, "overrides": dict}
SPACES = {"obs_space": dict, "act_space": dict}
Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Bundle:
    """Contents of a bundle, names without their prefix."""

    # What it says of the agent that made it: `configs`, names of blocks of its code base;
    # `overrides`, its keys or regular expressions to values; `obs_space` and `act_space`, a
    # description by key in order; and what a base adds.
    meta: dict[str, Any]
    params: Arrays  # arrays before the update
    batch: Arrays  # `[B, T, ...]`
    expect: Arrays  # what its code base computed
    more: dict[str, Arrays]  # further groups of arrays by name, those of `MORE` that are there

    @property
    def base(self) -> str:
        """The base that made it; the oldest bundles do not say that they are of 2023."""
        return str(self.meta.get("base", "dreamerv3"))


def read(path: Path) -> Bundle:
    """Reads a bundle without executing anything in it.

    Raises:
      UserError: when the file is not an archive of plain arrays with the expected parts.
    """
    arrays = read_npz(path)
    if "meta" not in arrays:
        raise UserError(f"{path}: expected an entry `meta` with JSON text{nearest('meta', arrays)}")
    meta = _meta(arrays.pop("meta"), path)
    parts: dict[str, Arrays] = {name: {} for name in (*PARTS, *MORE)}
    for name, value in arrays.items():
        head, _, rest = name.partition("/")
        if head not in parts or not rest:
            raise UserError(f"{path}: unexpected entry {name!r}; expected {', '.join(PARTS)}/...")
        if value.dtype.kind not in "biuf":
            raise UserError(f"{path}: {name} has dtype {value.dtype}, expected numbers")
        parts[head][rest] = value
    empty = [name for name in PARTS if not parts[name]]
    if empty:
        raise UserError(f"{path}: no entries under {empty[0]}/")
    more = {name: parts.pop(name) for name in MORE}
    return Bundle(meta, **parts, more={name: part for name, part in more.items() if part})


def read_npz(path: Path) -> Arrays:
    """Reads an archive of arrays; pickled objects in it are refused.

    Raises:
      UserError: when it is damaged, holds objects, or claims shapes its bytes do not fill.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            size = sum(info.file_size for info in infos)
            if size > MAX_BYTES:
                raise UserError(f"{path}: unpacks to {size} bytes, more than {MAX_BYTES} allowed")
            arrays = {}
            for info in infos:
                with archive.open(info) as file:
                    name = info.filename.removesuffix(".npy")
                    arrays[name] = _array(file, info.file_size, name)
            return arrays
    except (OSError, ValueError, KeyError, EOFError, OverflowError, MemoryError) as error:
        raise UserError(f"{path}: not a readable bundle: {error}") from error
    except (zipfile.BadZipFile, zlib.error, RuntimeError, SyntaxError, TypeError) as error:
        # RuntimeError: encrypted; NotImplementedError, a kind of it: unknown compression.
        raise UserError(f"{path}: not a readable bundle: {error}") from error


def _array(file: IO[bytes], size: int, name: str) -> np.ndarray:
    """Reads one array of the npy format from `size` bytes."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"{name} has version {version} of the npy format")
    if dtype.hasobject:
        raise ValueError(f"{name} holds pickled objects, which are never loaded")
    if any(length < 0 for length in shape) or math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"{name} claims the shape {shape}, more than its {size} bytes hold")
    data = file.read()
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} has {len(data)} bytes of data, which do not fill {shape}")
    if not dtype.itemsize:
        return np.empty(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _meta(entry: np.ndarray, path: Path) -> dict[str, Any]:
    """Returns the description in a bundle, its kinds of values checked."""
    if entry.dtype.kind not in "US" or entry.size != 1:
        raise UserError(f"{path}: `meta` must be one JSON text, got {entry.dtype} {entry.shape}")
    text = entry.reshape(())[()]
    try:
        meta = json.loads(text.decode() if isinstance(text, bytes) else str(text))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: `meta` is not JSON: {error}") from error
    spaces = {} if isinstance(meta, dict) and meta.get("base") == "dreamerpro" else SPACES
    for key, kind in {**META, **spaces}.items():
        if not isinstance(meta, dict) or not isinstance(meta.get(key), kind):
            got = repr(meta.get(key))[:80] if isinstance(meta, dict) else type(meta).__name__
            raise UserError(f"{path}: meta.{key} must be a {kind.__name__}, got {got}")
    try:
        for key, space in meta.get("obs_space", {}).items():
            shape_of(space, f"obs_space.{key}")
            if space.get("dtype") not in DTYPES:
                raise UserError(f"meta.obs_space.{key} has the dtype {space.get('dtype')!r}")
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return {**meta, "configs": [str(name) for name in meta["configs"]]}


def shape_of(space: Any, name: str) -> tuple[int, ...]:
    """Returns the shape in the description of a space.

    Raises:
      UserError: when there is none; `name` says where in `meta`.
    """
    shape = space.get("shape") if isinstance(space, dict) else None
    if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 2**31 for n in shape):
        raise UserError(f"meta.{name} must have a shape such as [64, 64, 3], got {space}")
    return tuple(shape)
