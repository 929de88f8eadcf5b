"""The fixed buffer: transitions of a run's replay, or of a folder that holds nothing else.

A buffer folder has two files: `config.yaml`, the configuration of the run that collected it, and
`transitions.safetensors`, one array `[K, ...]` for each key of the replay plus, optionally,
`stream` int32 `[K]`: rows of one environment follow each other in the order of time, and where
`stream` changes those of another begin.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import decode, encode, write_atomic
from embodied.checkpoint.manifest import Saved
from embodied.core.errors import UserError
from embodied.core.space import Space
from embodied.records.progress import say
from embodied.replay import Replay
from embodied.replay.chunks import ReplayFiles
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.config import Config
from harmony_dreamerv3.config import folder as run_folder

FILE = "transitions.safetensors"
NEEDED = ("action", "reward", "is_first", "is_last", "is_terminal")


@dataclasses.dataclass(frozen=True)
class Buffer:
    """Transitions in the order of time, stream after stream."""

    config: Config  # of the run that collected them
    # `[K, ...]` by key; `action` is the one taken after the observation of its row.
    arrays: Mapping[str, np.ndarray]
    ends: tuple[int, ...]  # number after the last row of each stream, increasing; the last one is K

    @property
    def size(self) -> int:
        """Number of transitions K."""
        return self.ends[-1]

    @property
    def obs_space(self) -> dict[str, Space]:
        """Spaces of the observations, as far as arrays tell."""

        def space(array: np.ndarray) -> Space:
            whole = array.dtype.kind in "iu" and array.ndim < 4
            return Space(
                array.dtype, array.shape[1:], high=max(int(array.max()), 0) if whole else None
            )

        return {key: space(array) for key, array in self.arrays.items() if key != "action"}

    @property
    def act_space(self) -> dict[str, Space]:
        """Space of the action: discrete where every action is one-hot, or zero as at the end."""
        action = self.arrays["action"]
        sums = action.sum(-1)
        discrete = np.isin(action, (0, 1)).all() and np.isin(sums, (0, 1)).all() and sums.any()
        return {"action": Space(action.dtype, action.shape[1:], discrete=bool(discrete))}

    def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Returns windows `[B, T, ...]` of rows `[B, T]`, with `is_first` at the start of each."""
        batch = {key: array[index] for key, array in self.arrays.items()}
        batch["is_first"][:, 0] = True
        return batch


def read(source: Path) -> Buffer:
    """Reads a run folder, a buffer folder, or the transitions file of one.

    Raises:
      UserError: when it is none of these, is damaged, or lacks a key.
    """
    folder = source.parent if source.name == FILE and source.is_file() else source
    if not (folder / "config.yaml").is_file():
        seeds = sorted(path.parent.name for path in folder.glob("seed-*/config.yaml"))
        hint = f"; it has one folder for each seed: {', '.join(seeds)}" if seeds else ""
        raise UserError(f"{folder}: expected a run or buffer folder, with config.yaml{hint}")
    config = run_folder.read(folder)
    file = folder / FILE
    if file.is_file():
        try:
            arrays = decode(file.read_bytes(), file)
        except OSError as error:
            raise UserError(f"cannot read {file}: {error.strerror or error}") from error
        stream = arrays.pop("stream", None)
    else:
        arrays, stream = _replay(folder)
    return _checked(config, arrays, stream, file if file.is_file() else folder)


def write(buffer: Buffer, folder: Path) -> None:
    """Saves a buffer as a folder that `read` takes.

    Raises:
      UserError: when the folder exists and is not empty, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty; give another folder for the buffer")
    lengths = np.diff([0, *buffer.ends])
    stream = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / FILE, encode({**buffer.arrays, "stream": stream}))
        config = dataclasses.replace(buffer.config, logdir="")
        text = f"format: {run_folder.VERSION}\n{configs.dump(config)}"
        write_atomic(folder / "config.yaml", text.encode())
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error


def _replay(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns the transitions of a run's newest checkpoint, and the stream of each."""
    result = Checkpoints(folder, [folder]).take(_transitions, say)
    if result is None:
        raise UserError(
            f"{folder} holds no replay: it has neither checkpoints nor {FILE}; train it to its "
            "first checkpoint, or export a buffer with: analyze RUN --export-buffer FOLDER"
        )
    return result


def _transitions(saved: Sequence[Saved]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    folder, state, damaged = saved[0].folder, saved[0].state["replay"], saved[0].damaged
    names = [str(chunk["name"]) for chunk in state["chunks"] if chunk["name"] not in damaged]
    if not names:
        raise UserError(f"{folder}: the replay of its newest checkpoint is empty; train it longer")
    sample = decode((folder / "replay" / names[-1]).read_bytes(), names[-1])
    spaces = {key: Space(array.dtype, array.shape[1:]) for key, array in sample.items()}
    streams, ring = len(state["counts"]), int(state["ring"])
    replay = Replay(spaces, ring * streams, streams, 1, 0)
    ReplayFiles(replay).load(state, folder / "replay", damaged)
    first = np.maximum(replay.counts - ring, replay.lost)
    spans = list(zip(first, replay.counts))
    places = [replay.positions(np.array(n), np.arange(*span)) for n, span in enumerate(spans)]
    stream = np.repeat(np.arange(streams), replay.counts - first)
    return replay.store.read(np.concatenate(places)), stream


def _checked(
    config: Config, arrays: dict[str, np.ndarray], stream: np.ndarray | None, source: Path
) -> Buffer:
    # Latents of the run's own model (2025 base) mean nothing to another.
    arrays = {key: array for key, array in arrays.items() if not key.startswith("dyn/")}
    missing = [key for key in NEEDED if key not in arrays]
    if missing:
        raise UserError(f"{source} lacks the key {missing[0]!r}; it has {', '.join(arrays)}")
    rows = len(arrays["is_first"])
    shapes = {key: array.shape for key, array in arrays.items()}
    if any(not shape or shape[0] != rows for shape in shapes.values()) or not rows:
        raise UserError(f"{source}: expected arrays with as many rows each, found {shapes}")
    flat = {key: shapes[key] for key in NEEDED[1:] if len(shapes[key]) != 1}
    if flat or len(shapes["action"]) != 2:
        raise UserError(f"{source}: expected action [K, A], reward and flags [K], found {shapes}")
    stream = np.zeros(rows, np.int32) if stream is None else stream
    if stream.shape != (rows,):
        raise UserError(f"{source}: expected stream ({rows},), found {stream.shape}")
    ends = (*(np.flatnonzero(np.diff(stream)) + 1).tolist(), rows)
    return Buffer(config, arrays, ends)
