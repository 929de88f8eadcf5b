"""Wiring of the verbs `train` and `eval`: configuration, environments, learners, run loop."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import embodied.envs
import embodied.run
from embodied.checkpoint.checkpoints import Checkpoints
from embodied.core.env import Env
from embodied.core.errors import UserError
from embodied.core.rng import check_seeds
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.config import Config, overrides
from harmony_dreamerv3.runtime import devices, multihost
from harmony_dreamerv3.runtime.runtime import Runtime
from harmony_dreamerv3.verbs import summary

VERSION = 1
# Keys that a continued run may change: how long it goes on, what it records, where it runs.
CHANGEABLE = (
    "logdir", "run.steps", "run.eval_async", "run.save_every", "run.keep", "run.video_length",
    "run.env_process", "run.eval_processes", "run.env_timeout",
    "jax.platform", "jax.prealloc", "jax.cache", "jax.device_replay", "jax.deterministic",
    "jax.population_devices", "jax.data_devices", "jax.debug_nans",
    "jax.coordinator", "jax.processes", "jax.process",
)  # fmt: skip


@devices.memory_errors()
def train(config: Config, logdir: Path | None, seeds: Sequence[int] | None) -> int:
    """Trains until the end or a signal, and says what came of it.

    Args:
      config: the configuration.
      logdir: run folder; with `seeds` the folder around those of the seeds.
      seeds: of a population; None trains the one seed of the configuration in `logdir` itself.

    Returns:
      0 at the end or after a signal that was obeyed, 1 when learners had to be frozen.

    Raises:
      UserError: wrong configuration, a folder of another run, a failing environment.
    """
    members = list(seeds) if seeds else [config.seed]
    check_seeds(members)
    config = dataclasses.replace(config, method=config.method or method_name(config))
    root = logdir or Path(config.logdir or f"runs/{run_name(config, seeds)}")
    folders = [root / f"seed-{seed}" for seed in members] if seeds else [root]
    Checkpoints(root, folders).check_members()
    saved = [
        prepare_folder(folder, dataclasses.replace(config, seed=seed, logdir=str(folder)))
        for folder, seed in zip(folders, members)
    ]
    found = devices.setup(config.jax)
    multihost.check(config, len(members))
    make_env = env_maker(config)
    probe = make_env(0, 0, 0)
    obs_space, act_space, repeat = probe.obs_space, probe.act_space, probe.repeat
    probe.close()
    with multihost.records(root) as mine:
        learner = Runtime(config, obs_space, act_space, members)
        folders = [mine / folder.relative_to(root) for folder in folders]
        print(
            f"{config.task}, method {config.method}, seeds {members}, {learner.parameters:,} "
            f"parameters each, on {found[0].device_kind} ({found[0].platform}); records in {mine}",
            flush=True,
        )
        result = embodied.run.train_eval(
            learner, make_env, make_env if config.run.eval_every else None, folders, members,
            config.run, config.batch_size, config.batch_length, mine, saved,
        )  # fmt: skip
        for folder, seed in zip(folders, members):
            own = dataclasses.replace(config, seed=seed)
            print(summary.describe(folder, own, repeat), flush=True)
    return int(any(member["frozen"] for member in result["members"]))


@devices.memory_errors()
def evaluate(logdir: Path, episodes: int | None, platform: str | None) -> int:
    """Evaluates the last checkpoint of a run and prints each return.

    Args:
      logdir: run folder.
      episodes: how many; None for the run's own number.
      platform: None for that of the run.

    Returns:
      0.
    """
    if episodes is not None and episodes < 1:
        raise UserError(f"--episodes must be at least 1, got {episodes}")
    config = read_config(logdir)
    jax_config = dataclasses.replace(
        config.jax, platform=platform or config.jax.platform,
        population_devices=1, data_devices=1, coordinator="", processes=1, process=0,
    )  # fmt: skip
    run = dataclasses.replace(config.run, eval_eps=episodes or config.run.eval_eps)
    config = dataclasses.replace(config, jax=jax_config, run=run)
    devices.setup(config.jax)
    make_env = env_maker(config)
    probe = make_env(0, 0, 0)
    learner = Runtime(config, probe.obs_space, probe.act_space, [config.seed])
    probe.close()
    embodied.run.evaluate(learner, make_env, [logdir], [config.seed], run)
    return summary.evaluation(logdir / "eval")


def env_maker(config: Config) -> embodied.run.MakeEnv:
    """Returns what makes the environments of the configured task; other processes may call it."""
    options = embodied.envs.options_of(config.task, config.env)
    return functools.partial(_open_env, config.task, options)


def _open_env(task: str, options: dict[str, Any], member: int, index: int, seed: int) -> Env:
    return embodied.envs.make(task, seed, options)


def method_name(config: Config) -> str:
    """The name of a method that has none: `dreamerv3` for the plain baseline."""
    balance = config.balance
    if balance.method == "fixed" and not balance.weights:
        return "dreamerv3"
    held = "".join(f"-{task}{weight:g}" for task, weight in balance.weights.items())
    return f"{balance.method.replace(':', '.')}{held}"


def run_name(config: Config, seeds: Sequence[int] | None) -> str:
    """The default name of a run's folder."""
    task = config.task.replace("/", "-")
    return f"{task}-{config.method}" + ("" if seeds else f"-{config.seed}")


# What a run that is killed before its first record leaves.
LEFTOVERS = {".lock", ".config.yaml.tmp"}


def prepare_folder(folder: Path, config: Config) -> str:
    """Checks a run folder against the configuration.

    Returns:
      The text of its `config.yaml`.

    Raises:
      UserError: when it holds a run of another configuration or version, or other files.
    """
    text = f"# harmony_dreamerv3 run, format {VERSION}\nformat: {VERSION}\n{configs.dump(config)}"
    path = folder / "config.yaml"
    check_place(folder)
    if not path.exists():
        if folder.exists() and {path.name for path in folder.iterdir()} - LEFTOVERS:
            raise UserError(f"{folder} is not empty and holds no run; give another --logdir")
        return text
    old = configs.upgrade(_read_version(path))
    new = overrides.flatten(configs.to_dict(config))
    if old["base"] != new["base"]:
        raise UserError(
            f"{folder} holds a run of base {old['base']}, this run's base is {new['base']}; give "
            "another --logdir"
        )
    own = f"env.{embodied.envs.suite_of(config.task)}."  # Other suites' options change nothing.
    names = sorted({*old, *new} - set(CHANGEABLE))
    names = [key for key in names if not key.startswith("env.") or key.startswith(own)]
    differing = [key for key in names if old.get(key) != new.get(key)]
    if differing:
        lines = [f"  {key}: {old.get(key)!r} there, {new.get(key)!r} now" for key in differing]
        raise UserError(
            f"{folder} holds a run of another configuration; give another --logdir, or the "
            "same flags to continue it:\n" + "\n".join(lines)
        )
    return text


def check_place(folder: Path) -> None:
    """Raises UserError where a folder cannot be: it, or one around it, is a file, or not ours."""
    found = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not found.is_dir():
        raise UserError(f"{found} is a file, not a folder; give another --logdir")
    if not os.access(found, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to {found}: permission denied; give another --logdir")


def read_config(folder: Path) -> Config:
    """Reads the configuration of a run.

    Raises:
      UserError: when there is none, or it is of another version.
    """
    path = folder / "config.yaml"
    if not path.exists():
        raise UserError(f"{folder} is no run folder: it has no config.yaml")
    return configs.load(_read_version(path), path)


def _read_version(path: Path) -> dict:
    tree = configs.read_yaml(path)
    version = tree.pop("format", None)
    if version != VERSION:
        raise UserError(
            f"{path} has format {version!r}; this version reads format {VERSION}. Continue the "
            "run with the version that began it, or give another --logdir"
        )
    return tree
