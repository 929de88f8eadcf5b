"""Starting a job's process, wherever that is."""

from __future__ import annotations

import dataclasses
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from embodied.checkpoint.lock import Lock
from embodied.core.errors import UserError
from sweeps import guard
from sweeps.plan import FOLDER, Job
from sweeps.states import RUNNING, JobState, States

# What jobs that share an accelerator may take of its memory, all together.
MEMORY = 0.9


def log_path(root: Path, job: Job) -> Path:
    """Returns where a job's output goes."""
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
    except OSError:
        return False  # The job itself will say what is wrong with its folder.
    return False


def memory_share(share: int) -> dict[str, str]:
    """Returns what JAX is told so that `share` jobs fit into an accelerator's memory."""
    return {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{MEMORY / share:.3f}"} if share > 1 else {}


def supervise(
    root: Path,
    job: Job,
    share: int,
    asked: Callable[[], bool],
    tell: Callable[[JobState], None],
) -> int:
    """Starts a job's process on this node and waits for its end.

    Args:
      root: the sweep's folder, as this node sees it.
      job: the job.
      share: jobs for each accelerator.
      asked: says whether the job is to save and end.
      tell: is given the job's state as soon as its process runs.

    Returns:
      The exit status, negative the number of a signal.
    """
    process = start(root, job, memory_share(share))
    state = dataclasses.replace(
        States(root).read(job),
        state=RUNNING,
        host=socket.gethostname(),
        pid=process.pid,
        device=os.environ.get("CUDA_VISIBLE_DEVICES", ""),
    )
    tell(state)
    stopping = False
    while process.poll() is None:
        if not stopping and asked():
            stopping = True
            process.terminate()
        time.sleep(0.2)
    return process.returncode
