"""The engine of one machine: a process for each job, one job for each device."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from embodied.core.errors import UserError
from sweeps import launch
from sweeps.plan import Job
from sweeps.runner import Ended
from sweeps.states import RUNNING, JobState, States


@dataclasses.dataclass
class _Attempt:
    job: Job
    process: subprocess.Popen[bytes]
    devices: list[str]


class LocalEngine:
    """Runs jobs on this machine.

    Args:
      root: the sweep's folder.
      devices: accelerators, as `CUDA_VISIBLE_DEVICES` names them; none: the processor, or
        whatever the jobs find, counts as one device.
      share: jobs for each device.
      each: devices for each job.

    Raises:
      UserError: when there are fewer devices than a job needs.
    """

    def __init__(self, root: Path, devices: Sequence[str], share: int = 1, each: int = 1) -> None:
        if devices and len(devices) < each:
            raise UserError(f"a job needs {each} devices, there are {len(devices)}: {devices}")
        self._root, self._share, self._each = root, share, each
        self._named = bool(devices)
        groups = len(devices) // each if devices else 1
        self._groups = [list(devices[g * each : (g + 1) * each]) for g in range(groups)] * share
        self._attempts: list[_Attempt] = []
        self._states = States(root)

    def free(self) -> bool:
        """See `Engine`."""
        return bool(self._groups)

    def start(self, job: Job) -> None:
        """See `Engine`."""
        devices = self._groups[0]
        env = launch.memory_share(self._share)
        if self._named:
            env["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        process = launch.start(self._root, job, env)
        self._groups.remove(devices)
        before = self._states.read(job)
        state = JobState(
            RUNNING, before.failures, before.saved, socket.gethostname(), process.pid,
            ",".join(devices),
        )  # fmt: skip
        self._states.write(job, state)
        self._attempts.append(_Attempt(job, process, devices))

    def poll(self) -> list[Ended]:
        """See `Engine`."""
        over = [attempt for attempt in self._attempts if attempt.process.poll() is not None]
        for attempt in over:
            self._attempts.remove(attempt)
            self._groups.append(attempt.devices)
        return [Ended(attempt.job, attempt.process.returncode) for attempt in over]

    def stop(self) -> None:
        """See `Engine`."""
        for attempt in self._attempts:
            attempt.process.terminate()

    def close(self) -> None:
        """See `Engine`; jobs that still run, after an error of the sweep itself, are stopped."""
        self.stop()
        for attempt in self._attempts:
            attempt.process.wait()


def find_devices() -> list[str]:
    """Returns the NVIDIA accelerators of this machine that may be used; none where there is none.

    JAX is not asked: it would take their memory.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    try:
        query = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    return query.stdout.split()
