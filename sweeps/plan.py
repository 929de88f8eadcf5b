"""What a sweep consists of: jobs, and the plan that names them all."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from embodied.checkpoint.files import write_atomic
from embodied.core.errors import UserError

FORMAT = 1
FOLDER = "sweep"  # In the sweep's folder, beside those of the methods.


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of the training command: a method on a task, with one seed or a population."""

    method: str  # name of the configuration block, and of the column in tables
    task: str  # such as `atari_pong`
    seeds: tuple[int, ...]  # of the run; several are trained as one program
    population: bool  # whether the run is a population, with a folder for each seed inside its own
    # Of Python, all but `--logdir`, such as `-m program train --task atari_pong`.
    arguments: tuple[str, ...]
    steps: int  # agent steps at which each seed is finished
    devices: int = 1  # accelerators that the job takes

    @property
    def name(self) -> str:
        """The job's name, fit for a file's."""
        return self.folder.replace("/", ".")

    @property
    def folder(self) -> str:
        """The run folder, inside that of the sweep."""
        place = f"{self.method}/{self.task.replace('/', '-')}"
        return place if self.population else f"{place}/seed-{self.seeds[0]}"

    def runs(self, root: Path) -> list[Path]:
        """Returns the run folder of each seed, below that of the sweep."""
        folder = root / self.folder
        return [folder / f"seed-{seed}" for seed in self.seeds] if self.population else [folder]

    def command(self, root: Path, python: Sequence[str]) -> list[str]:
        """Returns the whole command, of the interpreter `python`."""
        return [*python, *self.arguments, "--logdir", str(root / self.folder)]


@dataclasses.dataclass(frozen=True)
class Plan:
    """All jobs of a sweep."""

    # The arguments that all jobs have in common; later commands must repeat them.
    shared: tuple[str, ...]
    jobs: tuple[Job, ...]  # in the order in which they are begun
    storage: str = ""  # URL of the folder in object storage that keeps the runs; empty: none does

    def joined(self, other: Plan) -> Plan:
        """Returns the plan of these jobs and those that only another plan has.

        Raises:
          UserError: when the two cannot live in one folder.
        """
        if self.shared != other.shared:
            there, now = shlex.join(other.shared), shlex.join(self.shared)
            raise UserError(
                "this folder holds a sweep with other settings; repeat them, or give another "
                f"--logdir:\n  there: {there}\n  now:   {now}"
            )
        mine = {job.folder: job for job in self.jobs}
        for job in other.jobs:
            if job.folder in mine and mine[job.folder].seeds != job.seeds:
                raise UserError(
                    f"{job.folder} is a population of the seeds {list(job.seeds)}, now it is "
                    f"{list(mine[job.folder].seeds)}: no seed can join or leave; give another "
                    "--logdir"
                )
        added = [job for job in other.jobs if job.folder not in mine]
        return dataclasses.replace(self, jobs=(*self.jobs, *added))

    def save(self, root: Path) -> None:
        """Writes the plan to a sweep's folder."""
        body = {"format": FORMAT, **dataclasses.asdict(self)}
        try:
            (root / FOLDER).mkdir(parents=True, exist_ok=True)
            write_atomic(root / FOLDER / "plan.json", json.dumps(body, indent=1).encode())
        except OSError as error:
            raise UserError(f"cannot write the plan of the sweep to {root}: {error}") from error


def load(root: Path) -> Plan | None:
    """Returns the plan in a sweep's folder; None where there is none.

    Raises:
      UserError: when it is damaged or of another format.
    """
    path = root / FOLDER / "plan.json"
    if not path.exists():
        return None
    try:
        body = json.loads(path.read_text("utf-8"))
        if body["format"] != FORMAT:
            raise UserError(
                f"{path} has format {body['format']!r}, this program reads {FORMAT}; continue "
                "the sweep with the version that began it"
            )
        jobs = [
            Job(**{**job, "seeds": tuple(job["seeds"]), "arguments": tuple(job["arguments"])})
            for job in body["jobs"]
        ]
        return Plan(tuple(body["shared"]), tuple(jobs), str(body.get("storage", "")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({error!r}); delete it and give the whole command again"
        ) from error
