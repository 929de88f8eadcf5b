"""Sweeps whose runs are kept in object storage; nodes share no folder.

A job works in a temporary folder of its node (`$TMPDIR`). What `--logdir` names holds the plan, the
states and, fetched from storage, the records and manifests of all jobs: all that is small.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from embodied.checkpoint.storage import Missing, Storage, fetch
from embodied.core.errors import UserError
from embodied.records.progress import say
from sweeps import launch, states
from sweeps.mirror import Mirror, Superseded
from sweeps.plan import FOLDER, Job
from sweeps.states import JobState, States

PAUSE = 2.0  # Seconds between looks for new checkpoints and for a request to stop.
PATIENCE = 600.0  # Seconds for which the last push is tried again.

_SMALL = re.compile(
    rf"{FOLDER}/(plan\.json|jobs/.*|logs/.*)"
    r"|(?!.*(checkpoints|replay)/).*\.(yaml|jsonl)"
    r"|.*checkpoints/([^/]*/manifest|[^/]*)\.json"
)


def refresh(storage: Storage, root: Path) -> None:
    """Fetches what is small: plan, states, logs, records, manifests."""
    fetch(storage, root, lambda path: _SMALL.fullmatch(path) is not None)


class Copy:
    """A job on this node, where `root` stands for the sweep's folder, and its copy in storage."""

    def __init__(self, storage: Storage, root: Path, job: Job) -> None:
        self._storage, self._root, self._job = storage, root, job
        members = [run.relative_to(root / job.folder).as_posix() for run in job.runs(root)]
        names = ["" if member == "." else member for member in members]
        self._mirror = Mirror(storage.below(job.folder), root / job.folder, names)
        self._log = launch.log_path(root, job)

    def pull(self) -> None:
        """Takes the job over and copies what it has reached; see `Mirror.pull`."""
        (self._root / self._job.folder).parent.mkdir(parents=True, exist_ok=True)
        self._mirror.pull()
        try:
            self._storage.get(self._log.relative_to(self._root).as_posix(), self._log)
        except Missing:
            self._log.unlink(missing_ok=True)

    def push(self) -> None:
        """Copies the newest checkpoint, the records and the log; see `Mirror.push`."""
        self._mirror.push()
        if self._log.exists():
            self._storage.put(self._log, self._log.relative_to(self._root).as_posix())

    def tell(self, state: JobState) -> None:
        """Writes the job's state, here and in storage."""
        States(self._root).write(self._job, state)
        name = f"{FOLDER}/jobs/{self._job.name}.json"
        self._storage.put(self._root / name, name)

    def follow(
        self, stop: Callable[[], bool], asked: threading.Event, over: threading.Event
    ) -> None:
        """Pushes each new checkpoint, until told that the job is over.

        Args:
          stop: says whether the sweep wants the job to save and end.
          asked: is set when it does, or when another attempt has taken over.
          over: ends this.
        """
        pushed = None
        while not over.wait(PAUSE):
            try:
                if stop():
                    asked.set()
                newest = self._mirror.newest()
                if newest != pushed:
                    self.push()
                    pushed = newest
            except Superseded as error:
                say(f"warning: {error}")
                asked.set()
                return
            except (UserError, OSError) as error:  # The next time may do better.
                say(f"warning: {error}")


def attempt(url: str, job: Job, before: JobState, stop: str, share: int) -> int:
    """Runs a job on the node that calls this, to its end or until the object `stop` exists.

    Args:
      url: the sweep's folder in storage.
      job: the job.
      before: its state when it was given out.
      stop: path in storage.
      share: jobs for each accelerator.

    Returns:
      The exit status, negative the number of a signal.
    """
    storage = Storage(url)
    if storage.exists(stop):
        return 0
    with tempfile.TemporaryDirectory(prefix=f"{FOLDER}-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        copy = Copy(storage, root, job)
        copy.pull()
        asked, over = threading.Event(), threading.Event()
        follow = threading.Thread(
            target=copy.follow, args=(lambda: storage.exists(stop), asked, over)
        )
        States(root).write(job, before)

        def tell(state: JobState) -> None:
            copy.tell(state)
            follow.start()

        try:
            code = launch.supervise(root, job, share, asked.is_set, tell)
        finally:
            over.set()
            if follow.is_alive():
                follow.join()
        _push_last(copy)
        latest = States(root).read(job)
        copy.tell(dataclasses.replace(latest, state=states.STOPPED, pid=0))
    return code


def _push_last(copy: Copy) -> None:
    """Pushes what the job has left, again and again if that fails.

    Raises:
      UserError: when another attempt has taken over, or the storage stays out of reach.
    """
    end, pause = time.monotonic() + PATIENCE, 1.0
    while True:
        try:
            return copy.push()
        except Superseded:
            raise
        except UserError as error:
            if time.monotonic() > end:
                raise
            say(f"warning: {error}; trying again")
            time.sleep(pause)
            pause = min(2 * pause, 60.0)
