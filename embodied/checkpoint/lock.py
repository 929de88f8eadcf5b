"""One process per run folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from embodied.core.errors import UserError


class Lock:
    """Holds a folder until `release` or the death of this process, however it dies.

    The lock belongs to the open file, which child processes started by `spawn` do not inherit; the
    file itself stays and means nothing without the lock on it.

    Raises:
      UserError: when another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / ".lock"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._file, 64).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise UserError(
                f"{folder} is in use by another run (process {owner}); "
                "wait for it, stop it, or choose another --logdir"
            ) from None
        with contextlib.suppress(OSError):  # A full disk: the number is for the message only.
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Lets the folder go."""
        os.close(self._file)
