"""What has to be equal in two run folders, as checksums."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import decode
from embodied.checkpoint.manifest import Saved
from embodied.records.run_records import FILES


def fingerprint(folder: Path) -> dict[str, str]:
    """Returns a SHA-256 for each part of a run folder that has to repeat.

    Args:
      folder: of one member.

    Returns:
      By part: `learner`, `loop` (observations, environments, policy state), `latents`, `state`
      (counters, means), `replay`, and the records.
    """
    found = Checkpoints(folder, [folder]).load()
    assert found, f"no checkpoint in {folder}"
    saved = found[0]
    state = {key: value for key, value in saved.state.items() if key != "replay"}
    parts = {
        "state": _hash(json.dumps(state, sort_keys=True).encode()),
        "replay": _replay(saved),
    }
    for name in ("learner", "loop", "latents"):
        path = saved.files.get(f"{name}.safetensors")
        parts[name] = _arrays(decode(path.read_bytes(), path)) if path else ""
    return parts | {name: _hash((folder / name).read_bytes()) for name in FILES}


def _replay(saved: Saved) -> str:
    """Hashes the live transitions in their order, however they are spread over files."""
    counts, ring = saved.state["replay"]["counts"], saved.state["replay"]["ring"]
    rows: dict[str, list[np.ndarray]] = {}
    for chunk in saved.state["replay"]["chunks"]:
        path = saved.folder / "replay" / chunk["name"]
        arrays, start = decode(path.read_bytes(), path), 0
        for stream, (first, last) in enumerate(zip(chunk["first"], chunk["last"])):
            dead = max(0, min(last, counts[stream] - ring) - first)
            for name, array in arrays.items():
                part = array[start + dead : start + last - first]
                rows.setdefault(f"{stream}/{name}", []).append(part)
            start += last - first
    return _arrays({name: np.concatenate(parts) for name, parts in rows.items()})


def _arrays(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
