"""The verb `eval`: the last checkpoint of a run plays."""

from __future__ import annotations

import argparse
import dataclasses
import signal
from pathlib import Path

from embodied.core.errors import UserError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb."""
    add = parser.add_argument
    add("logdir", type=Path, metavar="RUN", help="run folder")
    add("--episodes", type=int, help="default: run.eval_eps of the run")
    add("--platform", help="auto, cpu, gpu or tpu (default: that of the run)")


def run(args: argparse.Namespace) -> int:
    """Evaluates and prints each return; after Ctrl-C or SIGTERM those that there are."""
    import embodied.run
    from harmony_dreamerv3.config import environments, folder
    from harmony_dreamerv3.runtime import devices
    from harmony_dreamerv3.runtime.runtime import Runtime
    from harmony_dreamerv3.verbs import summary

    if args.episodes is not None and args.episodes < 1:
        raise UserError(f"--episodes must be at least 1, got {args.episodes}")
    config = folder.read(args.logdir)
    jax_config = dataclasses.replace(
        config.jax, platform=args.platform or config.jax.platform,
        population_devices=1, data_devices=1, coordinator="", processes=1, process=0,
    )  # fmt: skip
    settings = dataclasses.replace(config.run, eval_eps=args.episodes or config.run.eval_eps)
    config = dataclasses.replace(config, jax=jax_config, run=settings)
    with devices.memory_errors():
        devices.setup(config.jax)
        make_env = environments.maker(config, evaluation=True)
        spaces = environments.spaces(make_env)
        learner = Runtime(config, spaces.obs, spaces.act, [config.seed])
        done = embodied.run.evaluate(learner, make_env, [args.logdir], [config.seed], settings)
    cut = done["cut"]
    summary.evaluation(args.logdir / "eval", cut and (cut, settings.eval_eps))
    return 128 + signal.Signals[cut] if cut else 0
