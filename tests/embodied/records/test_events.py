"""Event files: framed with checksums, and whole whatever the disk does."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import masked_crc32c

from embodied.records.events import EventFile


def read(folder: Path) -> list[Event]:
    """Returns the events of the only file, whose checksums are right to the last byte."""
    (path,) = folder.glob("events.out.tfevents.*")
    data, found = path.read_bytes(), []
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        record = data[12 : 12 + size]
        assert struct.unpack("<I", data[8:12])[0] == masked_crc32c(data[:8])
        assert struct.unpack("<I", data[12 + size : 16 + size])[0] == masked_crc32c(record)
        found.append(Event.FromString(record))
        data = data[16 + size :]
    return found


def loss(value: float) -> Summary:
    return Summary(value=[Summary.Value(tag="loss", simple_value=value)])


def test_a_file_begins_with_its_version_and_the_step_from_which_it_holds(tmp_path: Path) -> None:
    file = EventFile(tmp_path, 10)
    file.write(20, summary=loss(0.5))
    file.close()
    version, start, event = read(tmp_path)
    assert version.file_version == "brain.Event:2"
    assert start.step == 11
    assert (event.step, event.summary.value[0].simple_value) == (20, 0.5)


@pytest.mark.parametrize("written", [0, 5, None])
def test_a_write_that_fails_leaves_whole_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int | None
) -> None:
    file = EventFile(tmp_path, 0)
    write = os.write

    def full(handle: int, data: bytes) -> int:
        if written is None:
            raise OSError(28, "No space left on device")
        return write(handle, data[:written])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=r"(?i)no space left"):
        file.write(1, summary=loss(1.0))
    monkeypatch.undo()
    file.write(2, summary=loss(2.0))
    file.close()
    assert [event.step for event in read(tmp_path)] == [0, 1, 2]  # Version, start and the second.


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        EventFile(tmp_path / "absent", 0)
