"""The verb `sweep`: methods x tasks x seeds, on this machine or on a cluster."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embodied.core.errors import UserError, nearest

if TYPE_CHECKING:
    from embodied.run.sweep import Engine, Job, Plan

DESCRIPTION = """\
Trains every method on every task with every seed. Methods are blocks of configs.yaml, laid over
those of --configs; any key of it is a flag for all jobs, as for `train`. The same command line, or
--logdir alone, continues: finished jobs are skipped, killed ones resume from their checkpoints,
failed ones are tried again. SIGTERM or Ctrl-C lets all jobs save and stop.
"""
RESAMPLES = 500  # Of the intervals in the status, which is to be quick.
# Flags that the sweep sets for each job.
OWN = ("task", "seed", "seeds", "method", "logdir")


def register(verbs: argparse._SubParsersAction) -> None:
    """Adds the verb to the parser."""
    sweep = verbs.add_parser(
        "sweep",
        help="train methods x tasks x seeds, or show how that stands",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = sweep.add_argument
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
    add("--cpus-per-job", type=float, default=1.0, metavar="N", help="ray: processors a job (1)")
    add("--dry-run", action="store_true", help="print the jobs and end")
    add("--print-commands", action="store_true",
        help="print a command for each job (Slurm arrays), keep the plan, and end")  # fmt: skip
    add("--status", type=Path, metavar="D", help="show how the sweep in D stands, and end")
    add("--watch", action="store_true", help="with --status: again every --interval seconds")
    add("--interval", type=float, default=10.0, metavar="S", help="seconds for --watch (10)")
    sweep.set_defaults(run=run_sweep, takes_flags=True)


def run_sweep(args: argparse.Namespace) -> int:
    """Runs the verb; returns 1 when jobs failed."""
    from embodied.run.sweep import status

    if args.status:
        return show_status(args.status, args.watch, args.interval)
    if args.logdir is None:
        raise UserError("sweep: expected --logdir D (or --status D)")
    for name, least in (("retries", 0), ("jobs_per_device", 1), ("cpus_per_job", 0)):
        if getattr(args, name) < least:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} must be at least {least}, got {getattr(args, name)}")
    plan, jobs = make_plan(args)
    if args.dry_run:
        print(status.text(status.rows(args.logdir, jobs)))
        return 0
    plan.save(args.logdir)
    if args.print_commands:
        import shlex

        for job in jobs:
            print(shlex.join(job.command(args.logdir.resolve(), ["python"])))
        return 0
    return _run(args, jobs)


def _run(args: argparse.Namespace, jobs: Sequence[Job]) -> int:
    from embodied.core.lock import Lock
    from embodied.run.signals import StopFlag
    from embodied.run.sweep import Runner
    from embodied.run.sweep.plan import FOLDER

    lock = Lock(args.logdir / FOLDER)
    try:
        engine = _engine(args, max(job.devices for job in jobs))
        try:
            with StopFlag() as stop:  # After Ray, which catches signals, too.
                return Runner(args.logdir, jobs, engine, args.retries).run(stop)
        finally:
            engine.close()
    finally:
        lock.release()


def _engine(args: argparse.Namespace, devices: int) -> Engine:
    """Makes the engine; no two jobs of a sweep take different numbers of devices."""
    if args.engine == "ray":
        from embodied.run.sweep.cluster import RayEngine

        return RayEngine(args.logdir, args.address, args.jobs_per_device, args.cpus_per_job)
    from embodied.run.sweep.local import LocalEngine, find_devices

    found = args.devices or find_devices()
    return LocalEngine(args.logdir, found, args.jobs_per_device, devices)


def make_plan(args: argparse.Namespace) -> tuple[Plan, Sequence[Job]]:
    """Returns the plan of the sweep's folder and the jobs of this command.

    Raises:
      UserError: for unknown blocks, tasks or keys, or a plan that does not fit the folder's.
    """
    from embodied.run.sweep import plan as plans

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
    if min(args.seeds) < 0:
        raise UserError(f"--seeds must be 0 or more, got {args.seeds}")
    jobs = make_jobs(args)
    shared = ("--configs", *args.configs, *args.flags)
    new = plans.Plan((*shared, "--population") if args.population else shared, tuple(jobs))
    return (new.joined(old) if old else new), jobs


def make_jobs(args: argparse.Namespace) -> list[Job]:
    """Returns the jobs, seed by seed: a table of all games is there early, with few seeds."""
    from embodied.run.sweep import Job
    from embodied.run.sweep.plan import FOLDER
    from harmony_dreamerv3 import config, keys

    flags = keys.parse_flags(args.flags)
    taken = [key for key in OWN if key in flags]
    if taken:
        raise UserError(f"sweep sets --{taken[0]} for each job; use --tasks, --methods, --seeds")
    if FOLDER in args.methods:
        raise UserError(f"a method cannot be named {FOLDER!r}: its folder is that of the plan")
    made = {method: config.make([*args.configs, method], flags) for method in args.methods}
    groups = [tuple(args.seeds)] if args.population else [(seed,) for seed in args.seeds]
    jobs = []
    for seeds, task, method in itertools.product(groups, expand(args.tasks), args.methods):
        numbers = map(str, seeds)
        arguments = (
            "-m", "harmony_dreamerv3", "train", "--configs", *args.configs, method,
            "--task", task, "--method", method,
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

    found: list[str] = []
    for name in names:
        if name == "atari100k":
            found += embodied.envs.tasks("atari")
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


def show_status(root: Path, watch: bool, interval: float) -> int:
    """Prints how a sweep stands, once, or until it has nothing left to do.

    Args:
      root: the sweep's folder.
      watch: whether to print again and again.
      interval: seconds between.
    """
    from embodied.run.sweep import plan as plans
    from embodied.run.sweep import states, status

    while True:
        plan = plans.load(root)
        if plan is None:
            raise UserError(f"{root} holds no sweep: it has no {plans.FOLDER}/plan.json")
        rows = status.rows(root, plan.jobs)
        frames = max((row.job.steps * row.progress.repeat for row in rows), default=0)
        text = "\n".join(filter(None, [status.text(rows), scores_so_far(root, frames)]))
        if watch and sys.stdout.isatty():
            text = f"\033[H\033[J{text}"
        print(text, flush=True)
        over = all(row.state.state in (states.FINISHED, states.FAILED) for row in rows)
        if over or not watch:
            return 0
        try:
            time.sleep(interval)
        except KeyboardInterrupt:
            return 0


def scores_so_far(root: Path, frames: int) -> str:
    """Returns a line of human-normalised aggregates for each method.

    Only runs count that have reached their end; which games have any is said, too.

    Args:
      root: the sweep's folder.
      frames: at the end of a run; 0 when not known.
    """
    from embodied.scores import games, load, protocol, stats

    try:
        groups, _ = load.load([str(root)])
    except UserError:  # No run has a score yet.
        return ""
    lines = []
    for column in protocol.columns(groups, None, frames or None):
        rated = [game for game in games.atari100k() if len(column.of(game))]
        if rated:
            scores = games.normalised(rated, column.select(rated))
            found = stats.aggregates(scores, RESAMPLES).items()
            numbers = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found)
            runs = sum(len(column.of(game)) for game in rated)
            lines.append(f"{column.name}: {numbers} ({len(rated)} games, {runs} runs)")
    return "\n".join(lines)
