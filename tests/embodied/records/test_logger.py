"""TensorBoard events, videos, the progress line; none of them may stop a run."""

from __future__ import annotations

import json
import resource
import struct
from pathlib import Path

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from embodied.records.logger import Logger

FRAMES = np.zeros((5, 8, 6, 3), np.uint8)
for number in range(5):
    FRAMES[number, :, :, 0] = 50 * number


def events(folder: Path) -> list[Event]:
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            size = struct.unpack("Q", data[:8])[0]
            found.append(Event.FromString(data[12 : 12 + size]))
            data = data[12 + size + 4 :]
    return found


def test_events(tmp_path: Path) -> None:
    logger = Logger(tmp_path, step=10)
    logger.scalars({"train/loss": 1.5, "train/bad": float("nan")}, 20)
    logger.histogram("report/weights", np.array([1.0, 2.0, np.nan, 4.0]), 20)
    logger.video("report/open", FRAMES, 20)
    logger.close()
    version, start, scalars, histogram, video = events(tmp_path)
    assert version.file_version == "brain.Event:2"
    assert start.step == 11 and start.session_log.status == SessionLog.START
    assert scalars.step == 20
    assert [(v.tag, v.simple_value) for v in scalars.summary.value] == [("train/loss", 1.5)]
    assert histogram.summary.value[0].histo.sum == 7.0
    image = video.summary.value[0].image
    assert (image.height, image.width) == (8, 6)
    file = tmp_path / "videos" / "report-open-000000020.gif"
    assert file.read_bytes() == image.encoded_image_string


def test_a_failing_disk_warns_once_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = Logger(tmp_path / "missing", step=0)
    logger.scalars({"a": 1.0}, 1)
    logger.video("a", FRAMES, 1)
    logger.timing({"step": 1})
    logger.close()
    assert capsys.readouterr().out.count("warning: cannot write logs") == 1


def test_a_full_disk_warns_once_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = Logger(tmp_path, step=0)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = next(tmp_path.glob("events*")).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limit[1]))
    try:
        for step in range(3):
            logger.scalars({"a": 1.0}, step)
            logger.timing({"step": step})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    logger.scalars({"a": 1.0}, 7)
    logger.close()
    assert [event.step for event in events(tmp_path)] == [0, 1, 7]  # No torn event between.
    assert capsys.readouterr().out.count("warning: cannot write logs") == 1


def test_timing_lines(tmp_path: Path) -> None:
    logger = Logger(tmp_path, step=0)
    logger.timing({"step": 3})
    logger.close()
    line = json.loads((tmp_path / "timing.jsonl").read_text())
    assert line["step"] == 3 and line["time"] > 1e9
