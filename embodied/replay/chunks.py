"""The replay on disk: immutable files with the transitions since the last checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embodied.checkpoint.files import CorruptFile, decode
from embodied.core.errors import UserError
from embodied.replay.replay import Replay


@dataclasses.dataclass(frozen=True)
class Chunk:
    """One file of transitions.

    Args:
      name: file name inside the folder `replay`.
      first: number of the first transition of each stream.
      last: number after the last one.
    """

    name: str
    first: tuple[int, ...]
    last: tuple[int, ...]


class ReplayFiles:
    """Says which chunks hold a replay, and which transitions are not on disk yet.

    Args:
      replay: the replay in memory.
    """

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._chunks: list[Chunk] = []
        self._saved = replay.counts.copy()

    def save(self, step: int) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
        """Returns the replay's state, and a new file when there are new transitions.

        Args:
          step: agent steps done, for the file's name.

        Returns:
          Plain data for `load`, and the arrays of new files by name.
        """
        counts, ring = self._replay.counts, self._replay.ring
        first = np.maximum(self._saved, counts - ring)
        files: dict[str, dict[str, np.ndarray]] = {}
        if (counts > first).any():
            chunk = Chunk(f"{step:012d}.safetensors", _ints(first), _ints(counts))
            files[chunk.name] = self._replay.store.read(self._positions(chunk))
            self._chunks.append(chunk)
        self._saved = counts.copy()
        self._chunks = [c for c in self._chunks if (np.array(c.last) > counts - ring).any()]
        state = {
            "counts": counts.tolist(),
            "lost": self._replay.lost.tolist(),
            "ring": ring,
            "chunks": [dataclasses.asdict(chunk) for chunk in self._chunks],
        }
        return state, files

    def load(self, state: dict[str, Any], folder: Path, damaged: Collection[str] = ()) -> None:
        """Fills the replay from its files.

        Args:
          state: what `save` returned.
          folder: where the files are; their checksums have been verified.
          damaged: names of files that are not to be read; what came before them is given up too,
            so that each stream stays one piece.

        Raises:
          CorruptFile: when a file does not hold what the state says.
          UserError: when the replay has another number of streams.
        """
        counts = np.array(state["counts"], np.int64)
        if counts.shape != self._replay.counts.shape:
            raise UserError(
                f"the saved replay has {len(counts)} streams, this run has run.envs = "
                f"{len(self._replay.counts)}; keep run.envs or choose another --logdir"
            )
        row = sum(
            np.dtype(s.dtype).itemsize * int(np.prod(s.shape)) for s in self._replay.spaces.values()
        )
        for item in state["chunks"]:
            chunk = Chunk(str(item["name"]), _ints(item["first"]), _ints(item["last"]))
            if Path(chunk.name).name != chunk.name:
                raise CorruptFile(f"{chunk.name!r} is not a plain file name")
            if chunk.name in damaged:
                self._replay.lost = np.maximum(self._replay.lost, chunk.last)
                self._chunks = []
                continue
            positions = self._positions(chunk)
            path = folder / chunk.name
            if not path.is_file() or path.stat().st_size > row * len(positions) + 2**20:
                raise CorruptFile(f"{path} is missing, or larger than {len(positions)} transitions")
            arrays = decode(path.read_bytes(), path)
            self._check(arrays, len(positions), path)
            self._replay.store.write(positions, arrays)
            self._chunks.append(chunk)
        self._replay.counts[:] = counts
        self._replay.lost = np.maximum(self._replay.lost, np.array(state["lost"], np.int64))
        self._saved = counts.copy()

    def _positions(self, chunk: Chunk) -> np.ndarray:
        """Returns the store's positions of a chunk's transitions, stream after stream."""
        ring, streams = self._replay.ring, len(self._replay.counts)
        spans = list(zip(chunk.first, chunk.last))
        if len(spans) != streams or any(not 0 <= a <= b <= a + ring for a, b in spans):
            raise CorruptFile(f"replay file {chunk.name} does not fit {streams} rings of {ring}")
        parts = [self._replay.positions(np.array(e), np.arange(*s)) for e, s in enumerate(spans)]
        return np.concatenate(parts)

    def _check(self, arrays: dict[str, np.ndarray], rows: int, path: Path) -> None:
        found = {name: (array.dtype, array.shape) for name, array in arrays.items()}
        wanted = {
            name: (np.dtype(space.dtype), (rows, *space.shape))
            for name, space in self._replay.spaces.items()
        }
        if found != wanted:
            raise CorruptFile(f"{path}: expected arrays {wanted}, found {found}")


def _ints(values: Sequence[int] | np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
