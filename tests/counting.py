"""Jobs of sweeps that only count, and a sweep of them on this machine."""

from __future__ import annotations

from pathlib import Path

from embodied.run.signals import StopFlag
from sweeps import Job, Runner, States
from sweeps.local import LocalEngine

PROGRAM = str(Path(__file__).parent / "sweeps" / "sweep_program.py")


def make(
    *options: str,
    method: str = "a",
    seeds: tuple[int, ...] = (0,),
    steps: int = 3,
    devices: int = 1,
) -> Job:
    """A job of the program that counts to `steps`."""
    population = len(seeds) > 1
    listed = ("--seeds", *map(str, seeds)) if population else ()
    arguments = (PROGRAM, "--steps", str(steps), *listed, *options)
    return Job(method, "dummy_disc", seeds, population, arguments, steps, devices)


class Sweep:
    """Runs jobs and remembers what was said."""

    def __init__(self, root: Path, *jobs: Job) -> None:
        self.root, self.jobs, self.said = root, jobs, []

    def run(
        self, devices: tuple[str, ...] = (), share: int = 1, stop: StopFlag | None = None
    ) -> int:
        """Returns the exit status."""
        engine = LocalEngine(self.root, devices, share, max(job.devices for job in self.jobs))
        runner = Runner(self.root, self.jobs, engine, retries=1, wait=0.02, tell=self.said.append)
        try:
            return runner.run(StopFlag() if stop is None else stop)
        finally:
            engine.close()

    def states(self) -> list[str]:
        """States of the jobs, in order."""
        return [States(self.root).read(job).state for job in self.jobs]

    def visits(self, job: Job) -> list[str]:
        """Devices and last step of each attempt that ended in order."""
        return (self.root / job.folder / "visits").read_text().splitlines()
