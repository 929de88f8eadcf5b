"""The verb `sweep`: methods x tasks x seeds, on this machine or on a cluster."""

from __future__ import annotations

import argparse
import itertools
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embodied.core.errors import UserError, nearest
from embodied.core.rng import check_seeds

if TYPE_CHECKING:
    from embodied.checkpoint.storage import Storage
    from sweeps import Engine, Job, Plan

DESCRIPTION = """\
Trains every method on every task with every seed. Methods are blocks of configs.yaml, laid over
those of --configs; any key of it is a flag for all jobs, as for `train`. The same command line, or
--logdir alone, continues: finished jobs are skipped, killed ones resume from their checkpoints,
failed ones are tried again. SIGTERM or Ctrl-C lets all jobs save and stop.
"""
# Flags that the sweep sets for each job.
OWN = ("task", "seed", "seeds", "label", "method", "logdir")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb."""
    parser.description, parser.formatter_class = DESCRIPTION, argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--logdir", type=Path, metavar="D", help="folder of the sweep")
    add("--configs", nargs="+", default=[], metavar="BLOCK", help="config blocks of all jobs")
    add("--tasks", nargs="+", default=[], metavar="TASK", help="tasks; atari100k: all 26 games")
    add("--methods", nargs="+", default=[], metavar="BLOCK", help="config blocks, one a method")
    add("--seeds", nargs="+", type=int, default=[], metavar="N", help="seeds of each run")
    add("--population", action="store_true", help="all seeds of a run as one program")
    add("--engine", choices=("local", "ray"), default="local", help="where jobs run (local)")
    add("--retries", type=int, default=2, metavar="N",
        help="further attempts for a job that fails without a newer checkpoint (2)")  # fmt: skip
    add("--jobs-per-device", type=int, default=1, metavar="N",
        help="jobs that share an accelerator, or this machine's processor (1)")  # fmt: skip
    add("--devices", nargs="+", metavar="ID", help="local: accelerators to use (default: all)")
    add("--address", help="ray: of an existing cluster, or auto (default: $RAY_ADDRESS, or a new "
        "one of this machine)")  # fmt: skip
    add("--storage", metavar="URL", help="ray: keep runs in object storage, such as s3://bucket/D; "
        "--logdir then holds what is small")  # fmt: skip
    add("--cpus-per-job", type=float, default=1.0, metavar="N", help="ray: processors a job (1)")
    add("--dry-run", action="store_true", help="print the jobs and end")
    add("--print-commands", action="store_true",
        help="print a command for each job (Slurm arrays), keep the plan, and end")  # fmt: skip
    add("--status", type=Path, metavar="D", help="show how the sweep in D stands, and end")
    add("--watch", action="store_true", help="with --status: again every --interval seconds")
    add("--interval", type=float, default=10.0, metavar="S", help="seconds for --watch (10)")


def run(args: argparse.Namespace) -> int:
    """Runs the verb; returns 1 when jobs failed."""
    from harmony_dreamerv3.config import folder
    from harmony_dreamerv3.config.blocks import is_path
    from sweeps import plan as plans
    from sweeps import status

    if args.status:
        from sweeps.show import show_status

        return show_status(args.status, args.storage, args.watch, args.interval)
    if args.logdir is None:
        raise UserError("sweep: expected --logdir D (or --status D)")
    for name, least in (("retries", 0), ("jobs_per_device", 1), ("cpus_per_job", 0)):
        if getattr(args, name) < least:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} must be at least {least}, got {getattr(args, name)}")
    args.logdir = folder.expand(args.logdir)
    # Jobs may begin in another folder.
    args.configs = [os.path.abspath(n) if is_path(n) else n for n in args.configs]
    storage = open_storage(args)
    plan, jobs = make_plan(args)
    if args.dry_run:
        print(status.text(status.rows(args.logdir, jobs)))
        return 0
    from embodied.checkpoint.lock import Lock

    place = args.logdir / plans.FOLDER
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = Lock(place)
    except OSError as error:
        raise UserError(f"cannot write to {place}: {error}") from error
    try:
        plan.save(args.logdir)
        if storage:
            storage.put(place / "plan.json", f"{plans.FOLDER}/plan.json")
        if args.print_commands:
            for job in jobs:
                print(shlex.join(job.command(args.logdir.resolve(), ["python"])))
            return 0
        return _start(args, jobs, storage)
    finally:
        lock.release()


def open_storage(args: argparse.Namespace) -> Storage | None:
    """Opens the storage of the sweep, if it has one, and fetches what it holds already.

    Raises:
      UserError: when it cannot be used, or not with the engine.
    """
    from sweeps import plan as plans

    old = plans.load(args.logdir)
    url = (args.storage or (old.storage if old else "")).rstrip("/")
    if not url:
        return None
    if old and old.storage != url:
        raise UserError(
            f"{args.logdir} holds a sweep with the storage {old.storage or 'none'}, not {url}; "
            "give another --logdir"
        )
    if args.engine != "ray" or args.print_commands:
        raise UserError(f"the runs are kept in {url}: this needs --engine ray")
    from embodied.checkpoint.storage import Storage
    from sweeps.remote import refresh

    args.storage, storage = url, Storage(url)
    if not args.dry_run:
        storage.check()
    refresh(storage, args.logdir)
    return storage


def _start(args: argparse.Namespace, jobs: Sequence[Job], storage: Storage | None) -> int:
    from embodied.run.signals import StopFlag
    from sweeps import Runner

    engine = _engine(args, max(job.devices for job in jobs), storage)
    try:
        with StopFlag() as stop:  # After Ray, which catches signals, too.
            return Runner(args.logdir, jobs, engine, args.retries).run(stop)
    finally:
        engine.close()


def _engine(args: argparse.Namespace, devices: int, storage: Storage | None) -> Engine:
    """Makes the engine; no two jobs of a sweep take different numbers of devices."""
    if args.engine == "ray":
        from sweeps.cluster import RayEngine

        share = args.jobs_per_device
        return RayEngine(args.logdir, args.address, share, args.cpus_per_job, storage)
    from sweeps.local import LocalEngine, find_devices

    found = args.devices or find_devices()
    return LocalEngine(args.logdir, found, args.jobs_per_device, devices)


def make_plan(args: argparse.Namespace) -> tuple[Plan, Sequence[Job]]:
    """Returns the plan of the sweep's folder and the jobs of this command.

    Raises:
      UserError: for unknown blocks, tasks or keys, or a plan that does not fit the folder's.
    """
    from sweeps import plan as plans

    old = plans.load(args.logdir)
    named = {name: getattr(args, name) for name in ("tasks", "methods", "seeds")}
    if not any([*named.values(), args.configs, args.population, args.flags]):
        if old is None:
            raise UserError(
                f"{args.logdir} holds no sweep to continue; give --tasks, --methods and --seeds"
            )
        return old, old.jobs
    for name, values in named.items():
        if not values:
            raise UserError(f"sweep: expected --{name}")
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise UserError(f"--{name}: {twice[0]!r} comes twice")
    check_seeds(args.seeds)
    jobs = make_jobs(args)
    shared = ("--configs", *args.configs, *args.flags)
    shared = (*shared, "--population") if args.population else shared
    new = plans.Plan(shared, tuple(jobs), args.storage or "")
    return (new.joined(old) if old else new), jobs


def make_jobs(args: argparse.Namespace) -> list[Job]:
    """Returns the jobs, seed by seed: a table of all games is there early, with few seeds."""
    from harmony_dreamerv3 import config
    from harmony_dreamerv3.config import overrides
    from sweeps import Job
    from sweeps.plan import FOLDER

    flags = overrides.parse_flags(args.flags)
    taken = [key for key in OWN if key in flags]
    if taken:
        raise UserError(f"sweep sets --{taken[0]} for each job; use --tasks, --methods, --seeds")
    if FOLDER in args.methods:
        raise UserError(f"a method cannot be named {FOLDER!r}: its folder is that of the plan")
    labels = {method: config.label_of(args.configs, method, flags) for method in args.methods}
    made = {
        method: config.make([*args.configs, method], {**flags, "label": label})
        for method, label in labels.items()
    }
    groups = [tuple(args.seeds)] if args.population else [(seed,) for seed in args.seeds]
    jobs = []
    for seeds, task, method in itertools.product(groups, expand(args.tasks), args.methods):
        numbers = map(str, seeds)
        arguments = (
            "-m", "harmony_dreamerv3", "train", "--configs", *args.configs, method,
            "--task", task, "--label", labels[method],
            *(["--seeds"] if args.population else ["--seed"]), *numbers, *args.flags,
        )  # fmt: skip
        devices = made[method].jax.population_devices * made[method].jax.data_devices
        steps = made[method].run.steps
        jobs.append(Job(method, task, seeds, args.population, arguments, steps, devices))
    return jobs


def expand(names: Sequence[str]) -> list[str]:
    """Returns the tasks that names stand for; `atari100k` stands for its 26 games.

    Raises:
      UserError: when there is no such task.
    """
    import embodied.envs
    from embodied.envs import atari

    found: list[str] = []
    for name in names:
        if name == "atari100k":
            found += [f"atari_{game}" for game in atari.BENCHMARK]
            continue
        suite, _, rest = name.partition("_")
        if not rest:
            every = ["atari100k", *(task for each in embodied.envs.suites().values()
                                    for task in embodied.envs.tasks(each.name))]  # fmt: skip
            raise UserError(f"--tasks: no task {name!r}{nearest(name, every)}")
        known = embodied.envs.tasks(suite)  # Names the nearest suite itself.
        if known and name not in known:
            raise UserError(f"--tasks: no task {name!r}{nearest(name, known)}")
        found.append(name)
    return list(dict.fromkeys(found))
