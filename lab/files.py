"""Names and reading of an analysis folder; needs neither JAX nor a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from embodied.checkpoint.files import decode
from embodied.core.errors import UserError
from embodied.records.lines import read_lines

FORMAT = 1
RESULT = "analysis.json"
UPDATES = "updates.jsonl"
FRAMES = "strip.safetensors"


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, np.ndarray]]:
    """Reads the records of an analysis.

    Returns:
      The result, one record for each line of `updates.jsonl`, and the strip's frames.

    Raises:
      UserError: when they are missing, damaged, or of another format.
    """
    path = folder / RESULT
    if not path.is_file():
        raise UserError(f"{folder} holds no finished analysis: it has no {RESULT}")
    try:
        result = json.loads(path.read_bytes())
        updates = read_lines(folder / UPDATES)
        frames = folder / FRAMES
        arrays = decode(frames.read_bytes(), frames) if frames.is_file() else {}
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: its records cannot be read: {error}") from error
    if not isinstance(result, dict) or result.get("format") != FORMAT:
        raise UserError(f"{path}: expected format {FORMAT}")
    return result, updates, arrays
