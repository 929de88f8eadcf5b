"""Starting a job's process, wherever that is."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from embodied.core.errors import UserError
from embodied.core.lock import Lock
from embodied.run.sweep import guard
from embodied.run.sweep.plan import FOLDER, Job


def log_path(root: Path, job: Job) -> Path:
    """Returns where a job's output goes.

    Args:
      root: the sweep's folder.
      job: the job.
    """
    return root / FOLDER / "logs" / f"{job.name}.log"


def start(root: Path, job: Job, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts a job; its output is appended to its log.

    The process is in a session of its own, so that Ctrl-C reaches the sweep alone, which then asks
    its jobs to stop one time; and it is asked to stop when this process dies (on Linux). To be
    called from the main thread: the death of another thread would count as that of the process.

    Args:
      root: the sweep's folder.
      job: the job.
      env: environment variables added to those of this process.

    Raises:
      UserError: when the log cannot be written.
    """
    command = job.command(root, [sys.executable])
    path = log_path(root, job)
    title = f"\n--- {time.strftime('%Y-%m-%d %H:%M:%S')} {socket.gethostname()}: "
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab") as log:
            log.write(f"{title}{shlex.join(command)}\n".encode())
            log.flush()
            return subprocess.Popen(
                [sys.executable, guard.__file__, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                start_new_session=True,
            )
    except OSError as error:
        raise UserError(f"cannot start {job.name}: {error}") from error


def busy(root: Path, job: Job) -> bool:
    """Returns whether a process, such as one of a sweep that was killed, is in the run folder."""
    folder = root / job.folder
    if not folder.exists():
        return False
    try:
        Lock(folder).release()
    except UserError:
        return True
    return False
