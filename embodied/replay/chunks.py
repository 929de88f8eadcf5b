"""The replay on disk: immutable files with the transitions since the last checkpoint.

What updates write back into old transitions is no part of them; it is saved whole each time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embodied.checkpoint.files import CorruptFile, decode
from embodied.core.errors import UserError
from embodied.replay.replay import Replay

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Chunk:
    """One file of transitions."""

    name: str  # file name inside the folder `replay`
    first: tuple[int, ...]  # number of the first transition of each stream
    last: tuple[int, ...]  # number after the last one


class ReplayFiles:
    """Says which chunks hold a replay, and which transitions are not on disk yet."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._chunks: list[Chunk] = []
        self._saved = replay.counts.copy()

    def save(self, step: int) -> tuple[dict[str, Any], dict[str, Arrays], Arrays]:
        """Returns the replay's state, and a new file when there are new transitions.

        Args:
          step: agent steps done, for the file's name.

        Returns:
          Plain data for `load`; the arrays of new files by name; and what is written back, of all
          transitions held.
        """
        replay = self._replay
        counts, oldest = replay.counts, replay.counts - replay.ring
        first = np.maximum(self._saved, oldest)
        files: dict[str, Arrays] = {}
        if (counts > first).any():
            chunk = Chunk(f"{step:012d}.safetensors", _ints(first), _ints(counts))
            files[chunk.name] = replay.store.read(self._positions(chunk), self._names())
            self._chunks.append(chunk)
        self._saved = counts.copy()
        self._chunks = [c for c in self._chunks if (np.array(c.last) > oldest).any()]
        state = {
            "counts": counts.tolist(),
            "lost": replay.lost.tolist(),
            "ring": replay.ring,
            "chunks": [
                {"name": c.name, "first": list(c.first), "last": list(c.last)} for c in self._chunks
            ],
        }
        if not replay.latents:
            return state, files, {}
        live = Chunk("all", _ints(replay.oldest), _ints(counts))
        return state, files, replay.store.read(self._positions(live), replay.latents)

    def load(
        self,
        state: dict[str, Any],
        folder: Path,
        damaged: Collection[str] = (),
        latents: Arrays | None = None,
    ) -> None:
        """Fills the replay from its files.

        Args:
          state: what `save` returned.
          folder: where the files are; their checksums have been verified.
          damaged: names of files that are not to be read; what came before them is given up too,
            so that each stream stays one piece.
          latents: what is written back, as `save` returned it.

        Raises:
          CorruptFile: when a file does not hold what the state says.
          UserError: when the replay has another number of streams.
        """
        replay = self._replay
        counts, lost = (np.array(state[key], np.int64) for key in ("counts", "lost"))
        if counts.shape != replay.counts.shape:
            raise UserError(
                f"the saved replay has {len(counts)} streams, this run has run.envs = "
                f"{len(replay.counts)}; keep run.envs or choose another --logdir"
            )
        for item in state["chunks"]:
            chunk = Chunk(str(item["name"]), _ints(item["first"]), _ints(item["last"]))
            if Path(chunk.name).name != chunk.name:
                raise CorruptFile(f"{chunk.name!r} is not a plain file name")
            if chunk.name in damaged:
                replay.lost = np.maximum(replay.lost, chunk.last)
                self._chunks = []
                continue
            self._load_chunk(chunk, folder / chunk.name)
            self._chunks.append(chunk)
        replay.counts[:] = counts
        replay.lost = np.maximum(replay.lost, lost)
        self._saved = counts.copy()
        if replay.latents:
            first = np.maximum(counts - int(state["ring"]), lost)
            positions = self._positions(Chunk("latents", _ints(first), _ints(counts)))
            self._check(latents or {}, replay.latents, len(positions), "the file of latents")
            replay.store.write(positions, latents or {})

    def copy(
        self, state: dict[str, Any], folder: Path, damaged: Collection[str], latents: Arrays | None
    ) -> None:
        """Like `load`, of another run's files, so that `save` writes all of it anew."""
        self.load(state, folder, damaged, latents)
        self._chunks, self._saved = [], self._replay.oldest.copy()

    def _load_chunk(self, chunk: Chunk, path: Path) -> None:
        names = self._names()
        row = sum(
            np.dtype(s.dtype).itemsize * int(np.prod(s.shape))
            for s in (self._replay.spaces[name] for name in names)
        )
        positions = self._positions(chunk)
        if not path.is_file() or path.stat().st_size > row * len(positions) + 2**20:
            raise CorruptFile(f"{path} is missing, or larger than {len(positions)} transitions")
        arrays = decode(path.read_bytes(), path)
        self._check(arrays, names, len(positions), path)
        self._replay.store.write(positions, arrays)
        begin = 0
        for stream, (first, last) in enumerate(zip(chunk.first, chunk.last)):
            end = begin + last - first
            self._replay.note(stream, first, {k: v[begin:end] for k, v in arrays.items()})
            begin = end

    def _names(self) -> list[str]:
        """Names of what never changes once it is written."""
        return [name for name in self._replay.spaces if name not in self._replay.latents]

    def _positions(self, chunk: Chunk) -> np.ndarray:
        """Returns the store's positions of a chunk's transitions, stream after stream."""
        ring, streams = self._replay.ring, len(self._replay.counts)
        spans = list(zip(chunk.first, chunk.last))
        if len(spans) != streams or any(not 0 <= a <= b <= a + ring for a, b in spans):
            raise CorruptFile(f"replay file {chunk.name} does not fit {streams} rings of {ring}")
        parts = [self._replay.positions(np.array(e), np.arange(*s)) for e, s in enumerate(spans)]
        return np.concatenate(parts)

    def _check(self, arrays: Arrays, names: Collection[str], rows: int, source: object) -> None:
        found = {name: (array.dtype, array.shape) for name, array in arrays.items()}
        spaces = {name: self._replay.spaces[name] for name in names}
        wanted = {
            name: (np.dtype(space.dtype), (rows, *space.shape)) for name, space in spaces.items()
        }
        if found != wanted:
            raise CorruptFile(f"{source}: expected arrays {wanted}, found {found}")


def _ints(values: Sequence[int] | np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
