"""Training: configuration, environments, learners, run loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import embodied.envs
import embodied.run
from embodied.checkpoint.checkpoints import Checkpoints
from embodied.core.errors import UserError
from embodied.core.rng import check_seeds
from embodied.envs.gym import Options
from harmony_dreamerv3.api import own_env
from harmony_dreamerv3.config import Config, environments, folder, labels
from harmony_dreamerv3.interop import initial
from harmony_dreamerv3.runtime import devices, multihost
from harmony_dreamerv3.runtime.runtime import Runtime
from harmony_dreamerv3.verbs import summary

Callback = Callable[[int, dict[str, np.ndarray]], Any]


def train(
    config: Config,
    *,
    logdir: str | Path | None = None,
    seeds: Sequence[int] | None = None,
    env: Any = None,
    callbacks: Sequence[Callback] = (),
) -> dict[str, Any]:
    """Trains until the end or a signal, or goes on from the folder's last checkpoint.

    Args:
      config: of `make_config`.
      logdir: run folder; with `seeds` the folder around those of the seeds. None for
        `runs/TASK-LABEL-SEED`.
      seeds: of a population trained as one program; None for the one seed of the configuration.
      env: a Gymnasium environment, or a function without arguments that makes one; takes the place
        of `config.task`. An environment itself serves training alone; evaluations, further
        environments and further seeds get copies.
      callbacks: each is called with the number of updates and the mean metrics since the last
        call, `{name: float64 [N]}` for N seeds, every `run.log_every` agent steps. What one raises
        ends training; the last checkpoint stays.

    Returns:
      `step`, `updates`, `finished`, `signal` (name of the signal that stopped the run, or None)
      and `members`: for each its `seed`, `logdir`, last `returns` by mode, and `frozen` (why, or
      None).

    Raises:
      UserError: wrong configuration, a folder of another run, a failing environment.
    """
    if env is not None:
        config = dataclasses.replace(config, task=own_env.name(env))
        if config.run.env_process or config.run.eval_processes:
            run = dataclasses.replace(config.run, env_process=False, eval_processes=0)
            config = dataclasses.replace(config, run=run)
    members = list(seeds) if seeds else [config.seed]
    check_seeds(members)
    config = dataclasses.replace(config, label=config.label or labels.derive(config))
    place = str(logdir or config.logdir or f"runs/{folder.default_name(config, seeds)}")
    root = folder.expand(place, config)
    folders = [root / f"seed-{seed}" for seed in members] if seeds else [root]
    Checkpoints(root, folders).check_members()
    texts = [
        folder.prepare(each, dataclasses.replace(config, seed=seed, logdir=str(each)))
        for each, seed in zip(folders, members)
    ]
    with devices.memory_errors():
        device = devices.setup(config.jax)[0]
        multihost.check(config, len(members))
        make_env, make_eval_env = makers(config, env)
        spaces = environments.spaces(make_env)
        with multihost.records(root) as mine:
            learner = _Watched(config, spaces.obs, spaces.act, members)
            learner.callbacks = callbacks
            folders = [mine / each.relative_to(root) for each in folders]
            print(
                f"{config.task}, method {config.label}, seeds {members}, {learner.parameters:,} "
                f"parameters each, on {device.device_kind} ({device.platform}); records in {mine}",
                flush=True,
            )
            if env is None and (note := environments.note(config)):
                print(f"note: {note}", flush=True)
            initial.initialise(learner, config, mine, folders)
            result = embodied.run.train_eval(
                learner, make_env, make_eval_env if config.run.eval_every else None, folders,
                members, config.run, config.batch_size, config.batch_length, mine, texts,
            )  # fmt: skip
            for each, seed in zip(folders, members):
                own = dataclasses.replace(config, seed=seed)
                print(summary.describe(each, own, spaces.repeat), flush=True)
    return result


class _Watched(Runtime):
    """Learners whose metrics are shown to callbacks whenever they are read."""

    callbacks: Sequence[Callback] = ()

    def drain(self) -> tuple[list[str], np.ndarray]:
        """Returns metrics; see `Runtime.drain`."""
        names, values = super().drain()
        if self.callbacks and len(values):
            updates = int(np.asarray(self.state.updates).max())
            means = dict(zip(names, values.mean(0).T))
            for callback in self.callbacks:
                callback(updates, means)
        return names, values


def makers(config: Config, env: Any) -> tuple[own_env.MakeEnv, own_env.MakeEnv]:
    """Returns what makes the environments of training and of evaluations; see `train`."""
    if env is None:
        return environments.maker(config), environments.maker(config, evaluation=True)
    if not (callable(env) or hasattr(env, "step")):
        raise UserError(f"env: expected a Gymnasium environment, or what makes one, got {env!r}")
    options = Options(**embodied.envs.options_of(config.task, config.env))
    return own_env.maker(env, options), own_env.maker(env, options, evaluation=True)
