"""The configuration of a run folder: `config.yaml`, and whether a run may go on in it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import embodied.envs
from embodied.core.errors import UserError
from harmony_dreamerv3.config.build import build, dump, lay, load, to_dict, upgrade
from harmony_dreamerv3.config.overrides import flatten
from harmony_dreamerv3.config.settings import Config
from harmony_dreamerv3.config.yaml_file import read_yaml

FILE = "config.yaml"
VERSION = 1
TIMESTAMP = "{timestamp}"
# Keys that a continued run may change: how long it goes on, what it records and how it is called,
# where it runs; none of them changes what is learned.
CHANGEABLE = (
    "label", "logdir", "run.steps", "run.eval_async", "run.save_every", "run.keep",
    "run.video_length", "run.log_every", "run.report_every", "run.eval_every", "run.eval_eps",
    "run.eval_envs", "run.env_process", "run.eval_processes", "run.env_timeout", "run.tracker",
    "jax.platform", "jax.prealloc", "jax.cache", "jax.device_replay", "jax.deterministic",
    "jax.population_devices", "jax.data_devices", "jax.debug_nans",
    "jax.coordinator", "jax.processes", "jax.process",
)  # fmt: skip
# What a run writes. Other files, such as the log of a scheduler, are none of its business.
OURS = (
    "checkpoints", "replay", "videos", "metrics.jsonl", "episodes.jsonl", "timing.jsonl",
    "imported.json",
)  # fmt: skip
CHANGED = "# changed "  # begins a line of config.yaml


def prepare(folder: Path, config: Config) -> str:
    """Checks a run folder against the configuration.

    Returns:
      The text of its `config.yaml`; where a run goes on with other values of `CHANGEABLE` keys,
      these are named in it, with the step from which they hold.

    Raises:
      UserError: when it holds a run of another configuration or version, or parts of a run.
    """
    path = folder / FILE
    check_place(folder)
    if not path.exists():
        parts = [name for name in OURS if (folder / name).exists()]
        if parts:
            raise UserError(
                f"{folder} holds {', '.join(parts)}, but no {FILE}; give another --logdir"
            )
        return text(config)
    old, new = upgrade(_read_version(path)), flatten(to_dict(config))
    if old["base"] != new["base"]:
        raise UserError(
            f"{folder} holds a run of base {old['base']}, this run's base is {new['base']}; give "
            "another --logdir"
        )
    own = f"env.{embodied.envs.suite_of(config.task)}."  # Other suites' options change nothing.
    names = [k for k in sorted({*old, *new}) if not k.startswith("env.") or k.startswith(own)]
    differing = [key for key in names if old.get(key) != new.get(key)]
    lines = [
        f"  {key}: {old.get(key)!r} there, {new.get(key)!r} now"
        for key in differing
        if key not in CHANGEABLE
    ]
    if lines:
        raise UserError(
            f"{folder} holds a run of another configuration; give another --logdir, or the "
            "same flags to continue it:\n" + "\n".join(lines)
        )
    step = newest_step(folder)
    history = [line for line in path.read_text("utf-8").splitlines() if line.startswith(CHANGED)]
    history += [
        f"{CHANGED}at step {step}: {key}: {old.get(key)!r} to {new.get(key)!r}"
        for key in differing
        if key.startswith("run.")
    ]
    return text(config, history)


def text(config: Config, history: Sequence[str] = ()) -> str:
    """The text of a `config.yaml`; `history` are the lines of what was changed, and when."""
    head = [f"# harmony_dreamerv3 run, format {VERSION}", *history, f"format: {VERSION}"]
    return "\n".join(head) + f"\n{dump(config)}"


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint of a run, 0 where there is none."""
    manifests = (folder / "checkpoints").glob("*/manifest.json")
    names = [path.parent.name[:12] for path in manifests]
    return max((int(name) for name in names if name.isdigit()), default=0)


def check_place(folder: Path) -> None:
    """Raises UserError where a folder cannot be: it, or one around it, is a file, or not ours."""
    place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not place.is_dir():
        raise UserError(f"{place} is a file, not a folder; give another --logdir")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to {place}: permission denied; give another --logdir")


def read(folder: Path) -> Config:
    """Reads the configuration of a run.

    Raises:
      UserError: when there is none, or it is of another version.
    """
    path = folder / FILE
    if not path.exists():
        raise UserError(f"{folder} is no run folder: it has no {FILE}")
    return load(_read_version(path), path)


def holds_run(folder: Path) -> bool:
    """Whether a folder is that of a run, or of a population."""
    return (folder / FILE).exists() or any(folder.glob(f"seed-*/{FILE}"))


def resume(folder: Path, flags: Mapping[str, Any]) -> tuple[Config, list[int] | None]:
    """Reads what a folder holds, to be continued.

    Args:
      folder: that of a run, or of a population.
      flags: laid over its configuration; `prepare` says what may change.

    Returns:
      The configuration, and the seeds of a population; None for a single run.
    """
    seeds = None
    if not (folder / FILE).exists():
        names = [path.parent.name.removeprefix("seed-") for path in folder.glob(f"seed-*/{FILE}")]
        seeds = sorted(int(name) for name in names if name.isdigit())
    config = read(folder / f"seed-{seeds[0]}" if seeds else folder)
    flat = lay(flatten(to_dict(config)), config.base, [("flag", flags)])
    return build(flat), seeds


def expand(logdir: str | Path, config: Config | None = None) -> Path:
    """Puts the time where a folder's name has `{timestamp}`.

    Raises:
      UserError: where several processes of a run would each take another time, or the name has
        another word in braces.
    """
    logdir = str(logdir)
    if TIMESTAMP in logdir and config and config.jax.coordinator:
        raise UserError(
            f"--logdir {logdir}: several processes need the same folder; give a name without "
            f"{TIMESTAMP}"
        )
    name = logdir.replace(TIMESTAMP, time.strftime("%Y%m%dT%H%M%S"))
    if strange := re.search(r"\{\w*\}", name):
        raise UserError(
            f"--logdir {logdir}: {strange[0]} means nothing here, only {TIMESTAMP} does"
        )
    return Path(name)


def default_name(config: Config, seeds: Sequence[int] | None) -> str:
    """The default name of a run's folder."""
    task = config.task.replace("/", "-")
    return f"{task}-{config.label}" + ("" if seeds else f"-{config.seed}")


def _read_version(path: Path) -> dict[str, Any]:
    tree = read_yaml(path)
    version = tree.pop("format", None)
    if version != VERSION:
        raise UserError(
            f"{path} has format {version!r}; this version reads format {VERSION}. Continue the "
            "run with the version that began it, or give another --logdir"
        )
    return tree
