"""Brings the jobs of a plan to their end with an engine that runs them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from embodied.core.errors import UserError, signal_name
from embodied.records.lines import tail
from embodied.records.progress import say
from embodied.run.signals import StopFlag
from sweeps import launch, progress, states, status
from sweeps.plan import Job
from sweeps.states import JobState, States

LOG_LINES = 12  # Shown of a job that failed.
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it.
EVERY = 60.0  # Seconds between lines about how it stands.


@dataclasses.dataclass(frozen=True)
class Ended:
    """An attempt that is over."""

    job: Job  # the job
    code: int | None  # exit status, negative the number of a signal; None when the machine was lost
    reason: str = ""  # what is known beyond the code


class Engine(Protocol):
    """What runs jobs: the devices of this machine, or a cluster."""

    def free(self) -> bool:
        """Returns whether another job may be started."""
        ...

    def start(self, job: Job) -> None:
        """Starts a job; its state is `running` as soon as its process is."""
        ...

    def poll(self) -> list[Ended]:
        """Returns the attempts that ended since the last call, without waiting."""
        ...

    def stop(self) -> None:
        """Asks all jobs to save and end; they still show up in `poll`."""
        ...

    def close(self) -> None:
        """Lets go of what the engine holds."""
        ...


class Runner:
    """Starts jobs, tries again those that fail, and reports.

    Args:
      root: the sweep's folder.
      jobs: in the order in which they are begun.
      engine: runs them.
      retries: how often a job that ended badly is tried again without progress between: an
        attempt after which there is a newer checkpoint does not count.
      wait: seconds between looks at the jobs.
      tell: shows a line to the user.
    """

    def __init__(
        self,
        root: Path,
        jobs: Sequence[Job],
        engine: Engine,
        retries: int = 2,
        wait: float = 0.5,
        tell: Callable[[str], None] = say,
    ) -> None:
        self._root, self._jobs, self._engine = root, list(jobs), engine
        self._retries, self._wait, self._tell = retries, wait, tell
        self._states = States(root)
        self._waiting: list[Job] = []
        self._running: list[Job] = []

    def run(self, stop: StopFlag) -> int:
        """Runs until all jobs are finished or failed, or until asked to stop.

        Args:
          stop: tells when to stop; the jobs then save and end, and continue another time.

        Returns:
          Exit status: 130 after Ctrl-C, 1 when jobs failed, else 0.
        """
        self._begin()
        stopping, spoken = False, time.monotonic()
        while self._running or (self._waiting and not stopping):
            if stop and not stopping:
                stopping = True
                self._tell(f"{stop.name}: {len(self._running)} jobs save and stop")
                self._engine.stop()
            if not stopping:
                self._start()
            for ended in self._engine.poll():
                self._running.remove(ended.job)
                self._judge(ended, stopping)
            if time.monotonic() - spoken >= EVERY:
                spoken = time.monotonic()
                self._tell(status.totals(status.rows(self._root, self._jobs)))
            time.sleep(self._wait)
        failed = self._report()
        return INTERRUPTED if stop.name == "SIGINT" else failed

    def _begin(self) -> None:
        """Sorts out what there is to do; failed jobs get new attempts."""
        for job in self._jobs:
            if not self._finish(job):
                self._waiting.append(job)
                self._states.write(job, JobState())
        count = len(self._jobs)
        self._tell(f"{count} jobs, {count - len(self._waiting)} of them finished; in {self._root}")

    def _start(self) -> None:
        """Starts waiting jobs, those first whose folder no other process holds."""
        for job in list(self._waiting):
            if not self._engine.free():
                return
            if not launch.busy(self._root, job):
                self._waiting.remove(job)
                self._running.append(job)
                try:
                    self._engine.start(job)
                except UserError as error:
                    self._running.remove(job)
                    self._judge(Ended(job, None, f"could not be started: {error}"), stopping=False)

    def _judge(self, ended: Ended, stopping: bool) -> None:
        """Decides what becomes of a job whose process has ended."""
        job, state = ended.job, self._states.read(ended.job)
        if self._finish(job):
            self._tell(f"finished: {job.name}")
            return
        if stopping:
            self._states.write(job, dataclasses.replace(state, state=states.STOPPED, pid=0))
            return
        step = progress.saved(job, self._root).step
        failures = 1 if step > state.saved else state.failures + 1
        reason = ended.reason or _explain(ended.code)
        again = failures <= self._retries
        self._states.write(
            job,
            JobState(
                state=states.WAITING if again else states.FAILED,
                failures=failures,
                saved=step,
                host=state.host,
                device=state.device,
                reason=reason,
            ),
        )
        where = f"continues from step {step:,}" if step >= 0 else "begins anew"
        self._tell(f"{job.name} {reason}; {where if again else 'given up'}")
        if again:
            self._waiting.append(job)

    def _finish(self, job: Job) -> bool:
        """Notes a job as finished if it is."""
        saved = progress.saved(job, self._root)
        if not saved.done:
            return False
        frozen = "; ".join(f"seed {seed} frozen: {why}" for seed, why in saved.frozen.items())
        self._states.write(job, JobState(states.FINISHED, reason=frozen))
        return True

    def _report(self) -> int:
        """Says what failed, with the end of its log, and returns the exit status."""
        rows = [(job, self._states.read(job)) for job in self._jobs]
        failures = [(job, state) for job, state in rows if state.state == states.FAILED]
        for job, state in failures:
            path = launch.log_path(self._root, job)
            self._tell(f"\nfailed: {job.name} {state.reason}; the end of {path}:")
            for line in tail(path, 2**14).decode(errors="replace").splitlines()[-LOG_LINES:]:
                self._tell(f"    {line}")
        for job, state in rows:
            if state.state == states.FINISHED and state.reason:
                self._tell(f"warning: {job.name}: {state.reason}")
        count = sum(state.state == states.FINISHED for _, state in rows)
        left = len(rows) - count - len(failures)
        more = f", {left} left: the same command continues" if left else ""
        self._tell(f"{count} of {len(rows)} jobs finished, {len(failures)} failed{more}")
        return int(bool(failures))


def _explain(code: int | None) -> str:
    if code is None:
        return "was lost with its machine"
    if code < 0:
        return f"was ended by {signal_name(-code)}"
    return "stopped before its end" if code == 0 else f"failed with exit status {code}"
