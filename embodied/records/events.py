"""A TensorBoard event file, written in place."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c


class EventFile:
    """Appends whole events; after a failed write the file still ends with a whole one.

    The writer thread of tensorboardX's `SummaryWriter` dies silently on a full disk and then blocks
    whoever adds to its queue, so only its formats are used here. Readers drop what an earlier file
    says of steps beyond the one that this begins with.

    Raises:
      OSError: from here and from `write`, as the system gives it.
    """

    def __init__(self, folder: Path, step: int) -> None:
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        self._file = os.open(folder / name, flags, 0o644)
        try:
            self.write(0, file_version="brain.Event:2")
            self.write(step + 1, session_log=SessionLog(status=SessionLog.START))
        except OSError:
            self.close()
            raise

    def write(self, step: int, **content: Any) -> None:
        """Appends an event with one field, such as `summary`."""
        data = Event(wall_time=time.time(), step=step, **content).SerializeToString()
        header = struct.pack("<Q", len(data))
        record = header + struct.pack("<I", masked_crc32c(header))
        record += data + struct.pack("<I", masked_crc32c(data))
        end = os.fstat(self._file).st_size
        try:
            if os.write(self._file, record) != len(record):
                raise OSError("no space left on the disk")
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, end)
            raise

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)
