"""The engine of a Ray cluster: a task for each job, wherever there is room."""

from __future__ import annotations

import logging
import os
import time
import uuid
from pathlib import Path
from typing import Any

from embodied.checkpoint.storage import Storage
from embodied.core.errors import UserError
from embodied.records.progress import say
from sweeps import launch, remote
from sweeps.plan import FOLDER, Job
from sweeps.runner import Ended
from sweeps.states import RUNNING, States

_CLOSING = 120.0  # Seconds in which jobs save and end after an error of the sweep itself.
_PATIENCE = 30.0  # Seconds until storage that failed is asked again.


class RayEngine:
    """Runs jobs on a Ray cluster whose nodes share the sweep's folder, or storage for it.

    Ray itself never tries a task again: whoever asks for `poll` does, after a look at what the job
    has reached. A node that dies loses no more than the steps since the last checkpoint.

    Args:
      root: the sweep's folder; without `storage` all nodes see it under this path.
      address: of the cluster, or `auto`; None for `$RAY_ADDRESS`, or else a cluster of this
        machine alone.
      share: jobs for each accelerator.
      cpus: processors that a job takes.
      storage: where runs are kept, if not in `root`.

    Raises:
      UserError: when Ray is not installed or the cluster does not answer.
    """

    def __init__(
        self,
        root: Path,
        address: str | None = None,
        share: int = 1,
        cpus: float = 1.0,
        storage: Storage | None = None,
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
        self._storage = storage
        self._stop = f"{FOLDER}/stop-{uuid.uuid4().hex}"
        # One worker process for each attempt: what an earlier one has left cannot matter.
        run: Any = remote.attempt if storage else attempt
        self._attempt: Any = ray.remote(max_retries=0, max_calls=1)(run)
        self._tasks: dict[Any, Job] = {}
        self._next = 0.0  # When storage may be asked again.

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
        if gpus > 1 and gpus != int(gpus):
            raise UserError(
                f"Ray gives a job whole accelerators or a part of one, not {gpus}: use "
                "--jobs-per-device 1"
            )
        options = self._attempt.options(num_cpus=self._cpus, num_gpus=gpus, name=job.name)
        if self._storage:
            before = States(self._root).read(job)
            task = options.remote(self._storage.url, job, before, self._stop, self._share)
        else:
            task = options.remote(self._root, job, self._root / self._stop, self._share)
        self._tasks[task] = job

    def poll(self) -> list[Ended]:
        """See `Engine`."""
        if not self._tasks or time.monotonic() < self._next:
            return []
        ready, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        if ready and self._storage:
            try:
                remote.refresh(self._storage, self._root)
            except UserError as error:  # Without it nobody knows what the jobs have reached.
                say(f"warning: {error}; trying again")
                self._next = time.monotonic() + _PATIENCE
                return []
        return [self._end(task, self._tasks.pop(task)) for task in ready]

    def stop(self) -> None:
        """See `Engine`."""
        # Tasks look for it; those that have not begun never need to.
        if self._storage:
            self._storage.write(self._stop, b"")
        else:
            (self._root / FOLDER).mkdir(parents=True, exist_ok=True)
            (self._root / self._stop).touch()
        for task, job in self._tasks.items():
            if States(self._root).read(job).state != RUNNING:
                self._ray.cancel(task)

    def close(self) -> None:
        """See `Engine`."""
        if self._tasks:  # After an error of the sweep itself.
            self.stop()
            count = len(self._tasks)
            self._ray.wait(list(self._tasks), num_returns=count, timeout=_CLOSING)
        if self._storage and self._storage.exists(self._stop):
            self._storage.remove([self._stop])
        (self._root / self._stop).unlink(missing_ok=True)
        if self._owner:
            self._ray.shutdown()

    def _end(self, task: Any, job: Job) -> Ended:
        errors = self._ray.exceptions
        try:
            return Ended(job, self._ray.get(task))
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OwnerDiedError):
            return Ended(job, None)
        except errors.TaskCancelledError:  # By `stop`, before it began.
            return Ended(job, 0)
        except errors.OutOfMemoryError:
            return Ended(job, None, "was ended by Ray: its node ran out of memory")
        except errors.RayError as error:
            text = str(error).strip() or type(error).__name__
            return Ended(job, None, f"failed in Ray: {text.splitlines()[-1]}")


def attempt(root: Path, job: Job, stop: Path, share: int) -> int:
    """Runs a job on the node that calls this, to its end or until the file `stop` exists.

    Returns:
      The exit status, negative the number of a signal.
    """
    if stop.exists():
        return 0
    store = States(root)
    return launch.supervise(root, job, share, stop.exists, lambda state: store.write(job, state))
