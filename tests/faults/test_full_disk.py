"""Disks that are full: a small filesystem where mounting is allowed, a file-size limit anywhere."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fingerprints import fingerprint
from small import train
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from embodied.core.errors import UserError
from embodied.records.logger import Logger

SIZE = 2**24


class Disk:
    """A mounted filesystem that can be filled and emptied.

    Args:
      path: where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def leave(self, free: int) -> None:
        """Fills it up to so many bytes."""
        self.empty()
        with open(self.path / "ballast", "wb") as file:
            space = os.statvfs(self.path)
            os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - free)

    def empty(self) -> None:
        """Makes space again."""
        (self.path / "ballast").unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A filesystem of 16 MiB; the test is skipped where mounting is not allowed."""
    path = tmp_path / "disk"
    path.mkdir()
    if not shutil.which("mount"):
        pytest.skip("there is no `mount` here; only the file-size limit is tried")
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not allowed ({done.stderr.strip()}); see the file-size limit")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_filesystem_that_fills_up_at_any_point(disk: Disk, tmp_path: Path) -> None:
    train(tmp_path / "plain", steps=200)
    wanted = fingerprint(tmp_path / "plain")
    messages = []
    for free in (0, 4096, 20_480, 40_960, 65_536, 98_304):
        folder = disk.path / f"from-{free}"
        disk.leave(free)
        with pytest.raises(UserError, match="No space left on device") as caught:
            train(folder, steps=200)
        messages.append(str(caught.value))
        disk.empty()
        train(folder, steps=200)
        assert fingerprint(folder) == wanted
        assert not list(folder.rglob("*.tmp"))
        shutil.rmtree(folder)
    assert any("cannot save the checkpoint" in message for message in messages)
    assert any("stays" in message for message in messages)


@pytest.fixture
def small_disk() -> Iterator[Any]:
    """Lets the kernel refuse to let a file grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_while_saving(tmp_path: Path, small_disk: Any) -> None:
    train(tmp_path / "plain", steps=200)
    train(tmp_path / "full", steps=60)
    small_disk(5000)  # Records fit, 30 more steps of replay do not.
    with pytest.raises(UserError, match=r"cannot save .* step 60 stays"):
        train(tmp_path / "full", steps=200)
    small_disk(resource.RLIM_INFINITY)
    assert max(os.listdir(tmp_path / "full" / "checkpoints")) == "000000000060"
    assert not list((tmp_path / "full").rglob("*.tmp"))
    train(tmp_path / "full", steps=200)
    assert fingerprint(tmp_path / "full") == fingerprint(tmp_path / "plain")


def test_a_full_filesystem_of_logs_does_not_stop_training(
    disk: Disk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(tmp_path / "plain")
    logs = disk.path / "logs"
    logs.mkdir()
    monkeypatch.setattr("embodied.run.reporter.Logger", lambda _, *rest: Logger(logs, *rest))
    disk.leave(8192)
    capsys.readouterr()
    assert train(tmp_path / "full")["finished"]
    assert capsys.readouterr().out.count("warning: cannot write logs") == 1
    assert fingerprint(tmp_path / "full") == fingerprint(tmp_path / "plain")
    disk.empty()
    events = [e for path in logs.glob("events*") for e in EventFileLoader(str(path)).Load()]
    assert len(events) > 2  # What did fit is whole.


def test_a_full_disk_of_logs_does_not_stop_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    train(tmp_path / "plain")
    monkeypatch.setattr("embodied.records.events.EventFile.write", full)
    monkeypatch.setattr("embodied.records.logger.write_atomic", full)
    monkeypatch.setattr("embodied.records.logger.append_line", full)
    capsys.readouterr()
    assert train(tmp_path / "full")["finished"]
    assert capsys.readouterr().out.count("warning: cannot write logs") == 1
    assert fingerprint(tmp_path / "full") == fingerprint(tmp_path / "plain")
