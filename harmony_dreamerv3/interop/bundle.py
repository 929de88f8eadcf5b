"""Reading golden bundles: `.npz` files of another program, so nothing in them is trusted."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embodied.core.errors import UserError

if TYPE_CHECKING:
    from harmony_dreamerv3.agent import Agent

MAX_BYTES = 4 << 30  # of all arrays together, unpacked
META = ("configs", "overrides", "obs_space", "act_space")


@dataclasses.dataclass(frozen=True)
class Bundle:
    """Contents of a bundle, names without their prefix."""

    meta: dict[str, Any]
    params: dict[str, np.ndarray]
    batch: dict[str, np.ndarray]
    expect: dict[str, np.ndarray]


def read(path: Path) -> Bundle:
    """Reads a bundle without executing anything in it.

    Raises:
      UserError: when the file is not an archive of plain arrays with the expected parts.
    """
    arrays = _arrays(path)
    try:
        meta = json.loads(str(arrays.pop("meta")[()]))
        missing = [key for key in META if key not in meta]
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: expected an entry `meta` with JSON text ({error})") from error
    if missing:
        raise UserError(f"{path}: meta lacks {', '.join(missing)}")
    parts: dict[str, dict[str, np.ndarray]] = {"params": {}, "batch": {}, "expect": {}}
    for name, value in arrays.items():
        head, _, rest = name.partition("/")
        if head not in parts:
            raise UserError(f"{path}: unexpected entry {name!r}; expected {', '.join(parts)}/...")
        parts[head][rest] = value
    empty = [name for name, part in parts.items() if not part]
    if empty:
        raise UserError(f"{path}: no entries under {empty[0]}/")
    return Bundle(meta, **parts)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
            if size > MAX_BYTES:
                raise UserError(f"{path}: unpacks to {size} bytes, more than {MAX_BYTES} allowed")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise UserError(f"{path}: not a readable bundle: {error}") from error


def check_batch(bundle: Bundle, agent: Agent) -> None:
    """Raises UserError unless the batch has every key of the spaces, shaped `[B, T, ...]`."""
    spaces: Mapping[str, Any] = {**agent.obs_space, **agent.act_space}
    for key, space in spaces.items():
        if key not in bundle.batch:
            raise UserError(f"the bundle's batch lacks {key!r}")
        value = bundle.batch[key]
        if value.shape[2:] != space.shape or value.ndim < 2:
            raise UserError(
                f"batch/{key}: expected shape [B, T, {', '.join(map(str, space.shape))}], "
                f"got {list(value.shape)}"
            )
