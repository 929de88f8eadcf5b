"""Pickles of good and of ill will."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any


def dump(path: Path, value: Any, protocol: int = 5, modern: bool = True) -> Path:
    """Writes a pickle; `modern`: with the names that newer versions of NumPy have."""
    data = pickle.dumps(value, protocol)
    if not modern and protocol < 4:
        data = data.replace(b"numpy._core", b"numpy.core")
    path.write_bytes(data)
    return path


class Evil:
    """Runs a command when it is unpickled by anything that trusts it."""

    def __init__(self, call: Callable, *args: Any) -> None:
        self.call, self.args = call, args

    def __reduce__(self) -> tuple:
        return self.call, self.args
