"""A process that is asked to stop when its parent dies."""

from __future__ import annotations

import signal
import subprocess
import sys


def test_the_guard_refuses_to_start_for_a_dead_parent() -> None:
    from sweeps import guard

    done = subprocess.run([sys.executable, guard.__file__, "1", "/bin/true"], check=False)
    assert done.returncode == 128 + signal.SIGTERM
