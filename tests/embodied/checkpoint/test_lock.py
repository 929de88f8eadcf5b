"""The lock of a run folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from embodied.checkpoint.lock import Lock
from embodied.core.errors import UserError

HOLD = """
import sys, time
from pathlib import Path
from embodied.checkpoint.lock import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_holder_is_refused_until_release(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    with pytest.raises(UserError, match=f"process {os.getpid()}"):
        Lock(tmp_path)
    lock.release()
    Lock(tmp_path).release()


def test_it_dies_with_its_owner(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as owner:
        assert owner.stdout and owner.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=f"process {owner.pid}"):
            Lock(tmp_path)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    Lock(tmp_path).release()
