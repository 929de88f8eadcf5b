"""The engine of a Ray cluster: a task for each job, wherever there is room."""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
import time
import uuid
from pathlib import Path
from typing import Any

from embodied.core.errors import UserError
from embodied.run.sweep import launch
from embodied.run.sweep.plan import FOLDER, Job
from embodied.run.sweep.runner import Ended
from embodied.run.sweep.states import RUNNING, States


class RayEngine:
    """Runs jobs on a Ray cluster whose nodes all see the sweep's folder under the same path.

    Ray itself never tries a task again: whoever asks for `poll` does, after a look at what the job
    has reached. A node that dies loses no more than the steps since the last checkpoint.

    Args:
      root: the sweep's folder, on storage that all nodes share.
      address: of the cluster, or `auto`; None for `$RAY_ADDRESS`, or else a cluster of this
        machine alone.
      share: jobs for each accelerator.
      cpus: processors that a job takes.

    Raises:
      UserError: when Ray is not installed or the cluster does not answer.
    """

    def __init__(
        self, root: Path, address: str | None = None, share: int = 1, cpus: float = 1.0
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise UserError(
                "--engine ray needs Ray: pip install 'harmony-dreamerv3[ray]', or use "
                "--engine local"
            ) from error
        self._ray: Any = ray
        self._owner = not ray.is_initialized()
        if self._owner:
            self._connect(address)
        self._root, self._share, self._cpus = root.resolve(), share, cpus
        self._stop = root.resolve() / FOLDER / f"stop-{uuid.uuid4().hex}"
        # One worker process for each attempt: what an earlier one has left cannot matter.
        self._attempt = ray.remote(max_retries=0, max_calls=1)(attempt)
        self._tasks: dict[Any, Job] = {}

    def _connect(self, address: str | None) -> None:
        local = address is None and "RAY_ADDRESS" not in os.environ
        extra = {"include_dashboard": False} if local else {}
        try:
            self._ray.init(
                address=address, log_to_driver=False, logging_level=logging.ERROR, **extra
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(f"no Ray cluster at {address or 'RAY_ADDRESS'}: {error}") from error

    def free(self) -> bool:
        """See `Engine`; always: what finds no room waits in Ray, which can then add nodes."""
        return True

    def start(self, job: Job) -> None:
        """See `Engine`."""
        accelerators = self._ray.cluster_resources().get("GPU", 0) > 0
        gpus = job.devices / self._share if accelerators else 0
        options = self._attempt.options(num_cpus=self._cpus, num_gpus=gpus, name=job.name)
        self._tasks[options.remote(self._root, job, self._stop, self._share)] = job

    def poll(self) -> list[Ended]:
        """See `Engine`."""
        if not self._tasks:
            return []
        ready, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        return [self._end(task, self._tasks.pop(task)) for task in ready]

    def stop(self) -> None:
        """See `Engine`."""
        self._stop.parent.mkdir(parents=True, exist_ok=True)
        self._stop.touch()  # Tasks look for it; those that have not begun end at once.

    def close(self) -> None:
        """See `Engine`."""
        if self._tasks:  # After an error of the sweep itself.
            self.stop()
            self._ray.wait(list(self._tasks), num_returns=len(self._tasks))
        self._stop.unlink(missing_ok=True)
        if self._owner:
            self._ray.shutdown()

    def _end(self, task: Any, job: Job) -> Ended:
        errors = self._ray.exceptions
        try:
            return Ended(job, self._ray.get(task))
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OwnerDiedError):
            return Ended(job, None)
        except errors.OutOfMemoryError:
            return Ended(job, None, "was ended by Ray: its node ran out of memory")
        except errors.RayError as error:
            return Ended(job, None, f"failed in Ray: {str(error).strip().splitlines()[-1]}")


def attempt(root: Path, job: Job, stop: Path, share: int) -> int:
    """Runs a job on the node that calls this, to its end or until it is asked to stop.

    Args:
      root: the sweep's folder.
      job: the job.
      stop: a file whose existence asks for the stop.
      share: jobs for each accelerator.

    Returns:
      The exit status, negative the number of a signal.
    """
    from embodied.run.sweep.local import MEMORY

    if stop.exists():
        return 0
    store = States(root)
    device = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    env = {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{MEMORY / share:.3f}"} if share > 1 else {}
    process = launch.start(root, job, env)
    state = dataclasses.replace(
        store.read(job), state=RUNNING, host=socket.gethostname(), pid=process.pid, device=device
    )
    store.write(job, state)
    asked = False
    while process.poll() is None:
        if not asked and stop.exists():
            asked = True
            process.terminate()
        time.sleep(0.2)
    return process.returncode
