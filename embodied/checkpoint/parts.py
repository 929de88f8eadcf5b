"""What a checkpoint holds of one run folder: as it is given, and as it is found."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Content = bytes | Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Part:
    """What a checkpoint holds of one folder.

    Args:
      state: plain data (numbers, strings, lists, dicts).
      files: bytes, or named arrays, by file name; written to `checkpoints/<step>/`.
      replay: likewise, files that are new in `replay/`.
      kept: names of older files in `replay/` that still belong to it.
    """

    state: Mapping[str, Any]
    files: Mapping[str, Content]
    replay: Mapping[str, Content] = dataclasses.field(default_factory=dict)
    kept: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Saved:
    """One folder's part of a checkpoint whose checksums are right.

    Args:
      folder: the run folder.
      state: as it was given to `save`.
      files: path by name, of the files of `checkpoints/<step>/`.
      damaged: names of files in `replay/` that cannot be used; only where no checkpoint is whole.
    """

    folder: Path
    state: dict[str, Any]
    files: dict[str, Path]
    damaged: frozenset[str] = frozenset()
