"""Where each job stands: one small file for each, whole at any moment."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import time
from pathlib import Path

from embodied.checkpoint.files import write_atomic
from embodied.core.errors import UserError
from sweeps.plan import FOLDER, Job

WAITING, RUNNING, STOPPED = "waiting", "running", "stopped"
FINISHED, FAILED = "finished", "failed"
EVERY = (FINISHED, RUNNING, STOPPED, WAITING, FAILED)  # In the order in which totals are shown.


@dataclasses.dataclass(frozen=True)
class JobState:
    """What the engine knows of a job; what the job has reached is in its run folder."""

    # `waiting`, `running`, `stopped` (continues when the sweep does), `finished`, or `failed` (as
    # often as allowed).
    state: str = WAITING
    failures: int = 0  # attempts in a row that ended badly without a newer checkpoint
    saved: int = -1  # agent step of the checkpoint after the last of them
    host: str = ""  # machine of the last attempt
    pid: int = 0  # its process
    device: str = ""  # its accelerators, as their driver counts them
    reason: str = ""  # why the job failed, or which seeds are frozen
    time: float = 0.0  # of the last change, in seconds since 1970

    @property
    def gone(self) -> bool:
        """Whether it counts as running, but its process on this machine is no more."""
        if self.state != RUNNING or self.host != socket.gethostname() or not self.pid:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return False


class States:
    """The states of all jobs, on disk."""

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER / "jobs"

    def read(self, job: Job) -> JobState:
        """Returns a job's state; that of a new one where no file can be read."""
        try:
            state = JobState(**json.loads(self._path(job).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return JobState()
        new = dataclasses.asdict(JobState())
        kinds = {name: (int, float) if name == "time" else type(new[name]) for name in new}
        whole = all(isinstance(getattr(state, name), kind) for name, kind in kinds.items())
        return state if whole and state.state in EVERY else JobState()

    def write(self, job: Job, state: JobState) -> None:
        """Replaces a job's state.

        Raises:
          UserError: when the disk refuses.
        """
        state = dataclasses.replace(state, time=time.time())
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self._path(job), json.dumps(dataclasses.asdict(state)).encode())
        except OSError as error:
            raise UserError(f"cannot write the state of {job.name}: {error}") from error

    def _path(self, job: Job) -> Path:
        return self._folder / f"{job.name}.json"
