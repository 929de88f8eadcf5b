"""Reading golden bundles: `.npz` files of another program, so nothing in them is trusted."""

from __future__ import annotations

import dataclasses
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from embodied.core.errors import UserError, nearest

if TYPE_CHECKING:
    from harmony_dreamerv3.agents.dreamerv3 import Agent

MAX_BYTES = 4 << 30  # of all arrays together, unpacked
PARTS = ("params", "batch", "expect")
FLAGS = ("is_first", "is_last", "is_terminal")


@dataclasses.dataclass(frozen=True)
class Meta:
    """What a bundle says of the agent that made it.

    Args:
      configs: names of config blocks of the released code.
      overrides: its keys, or regular expressions, to values.
      obs_space: shape and dtype by key, in order.
      actions: size of the action vector.
      discrete: whether actions are one-hot.
    """

    configs: tuple[str, ...]
    overrides: dict[str, Any]
    obs_space: dict[str, tuple[tuple[int, ...], str]]
    actions: int
    discrete: bool


@dataclasses.dataclass(frozen=True)
class Bundle:
    """Contents of a bundle, names without their prefix."""

    meta: Meta
    params: dict[str, np.ndarray]
    batch: dict[str, np.ndarray]
    expect: dict[str, np.ndarray]


def read(path: Path) -> Bundle:
    """Reads a bundle without executing anything in it.

    Raises:
      UserError: when the file is not an archive of plain arrays with the expected parts.
    """
    arrays = read_npz(path)
    if "meta" not in arrays:
        raise UserError(f"{path}: expected an entry `meta` with JSON text{nearest('meta', arrays)}")
    meta = _meta(arrays.pop("meta"), path)
    parts: dict[str, dict[str, np.ndarray]] = {name: {} for name in PARTS}
    for name, value in arrays.items():
        head, _, rest = name.partition("/")
        if head not in parts or not rest:
            raise UserError(f"{path}: unexpected entry {name!r}; expected {', '.join(parts)}/...")
        if value.dtype.kind not in "biuf":
            raise UserError(f"{path}: {name} has dtype {value.dtype}, expected numbers")
        parts[head][rest] = value
    empty = [name for name, part in parts.items() if not part]
    if empty:
        raise UserError(f"{path}: no entries under {empty[0]}/")
    return Bundle(meta, **parts)


def read_npz(path: Path) -> dict[str, np.ndarray]:
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


def _meta(entry: np.ndarray, path: Path) -> Meta:
    if entry.dtype.kind not in "US" or entry.size != 1:
        raise UserError(f"{path}: `meta` must be one JSON text, got {entry.dtype} {entry.shape}")
    text = entry.reshape(())[()]
    try:
        meta = json.loads(text.decode() if isinstance(text, bytes) else str(text))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: `meta` is not JSON: {error}") from error

    def get(key: str, kind: type) -> Any:
        if not isinstance(meta, dict) or not isinstance(meta.get(key), kind):
            got = repr(meta.get(key))[:80] if isinstance(meta, dict) else type(meta).__name__
            raise UserError(f"{path}: meta.{key} must be a {kind.__name__}, got {got}")
        return meta[key]

    configs = tuple(str(name) for name in get("configs", list))
    sampling = meta.get("sampling", "mode")
    if sampling != "mode":
        raise UserError(
            f"{path}: meta.sampling is {sampling!r}; only bundles whose draws are modes "
            "('mode') can be compared"
        )
    obs = {
        str(key): (_shape(space, f"obs_space.{key}", path), str(space.get("dtype")))
        for key, space in get("obs_space", dict).items()
    }
    for key, (_, dtype) in obs.items():
        if dtype not in ("bool", "uint8", "int32", "int64", "float32", "float64"):
            raise UserError(f"{path}: meta.obs_space.{key} has the dtype {dtype!r}")
    action = get("act_space", dict).get("action")
    if list(meta["act_space"]) != ["action"]:
        raise UserError(f"{path}: meta.act_space must hold one `action`, got {meta['act_space']}")
    shape = _shape(action, "act_space.action", path)
    discrete = action.get("discrete")
    if len(shape) != 1 or not shape[0] or not isinstance(discrete, bool):
        raise UserError(
            f"{path}: meta.act_space.action must be {{shape: [A], discrete: bool}}, got {action}"
        )
    return Meta(configs, get("overrides", dict), obs, shape[0], discrete)


def _shape(space: Any, name: str, path: Path) -> tuple[int, ...]:
    shape = space.get("shape") if isinstance(space, dict) else None
    if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 2**31 for n in shape):
        raise UserError(f"{path}: meta.{name} must have a shape such as [64, 64, 3], got {space}")
    return tuple(shape)


def check_batch(batch: Mapping[str, np.ndarray], agent: Agent) -> dict[str, np.ndarray]:
    """Returns the batch `[B, T, ...]` in the dtypes of the spaces.

    Raises:
      UserError: for a key that is missing or has another shape or kind of numbers.
    """
    spaces: Mapping[str, Any] = {**agent.obs_space, **agent.act_space}
    checked: dict[str, np.ndarray] = {}
    for key, space in spaces.items():
        if key not in batch:
            raise UserError(f"the bundle's batch lacks {key!r}{nearest(key, batch)}")
        value, lead = batch[key], batch[next(iter(spaces))].shape[:2]
        expected = (*lead, *space.shape)
        if value.ndim < 2 or value.shape != expected or not all(lead):
            axes = ", ".join(map(str, ("B", "T", *space.shape)))
            raise UserError(
                f"batch/{key}: expected shape [{axes}], with B and T those of the other keys, "
                f"got {list(value.shape)}"
            )
        dtype = np.dtype(bool) if key in FLAGS else np.dtype(space.dtype)
        if not np.can_cast(value.dtype, dtype, "same_kind"):
            raise UserError(f"batch/{key}: expected {dtype}, got {value.dtype}")
        checked[key] = value.astype(dtype)
    return checked
