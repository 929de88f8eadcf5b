"""The verb `eval`: a checkpoint of a run plays."""

from __future__ import annotations

import argparse
import dataclasses
import signal
from pathlib import Path

from embodied.core.errors import UserError
from embodied.core.rng import check_seeds

VIDEO = 27_000  # agent steps: a whole episode of the benchmark


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb."""
    add = parser.add_argument
    add("logdir", type=Path, metavar="RUN", help="run folder")
    add("--episodes", type=int, help="default: run.eval_eps of the run")
    add("--checkpoint", type=int, metavar="STEP", help="default: the newest; see RUN/checkpoints")
    add("--seed", type=int, metavar="S", help="of the episodes (default: that of the run, which "
        "gives those of its own evaluation)")  # fmt: skip
    add("--video", action="store_true", help="film the first episode, whatever run.video_length is")
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
    if args.seed is not None:
        check_seeds([args.seed])
    config = folder.read(args.logdir)
    settings = dataclasses.replace(
        config.run, eval_eps=args.episodes or config.run.eval_eps,
        video_length=VIDEO if args.video else config.run.video_length,
    )  # fmt: skip
    config = dataclasses.replace(config, jax=config.jax.alone(args.platform), run=settings)
    with devices.memory_errors():
        devices.setup(config.jax)
        make_env = environments.maker(config, evaluation=True)
        spaces = environments.spaces(make_env)
        seeds = [config.seed if args.seed is None else args.seed]
        learner = Runtime(config, spaces.obs, spaces.act, seeds)
        done = embodied.run.evaluate(
            learner, make_env, [args.logdir], seeds, settings, checkpoint=args.checkpoint
        )
    cut, video = done["cut"], done["members"][0]["video"]
    print(f"checkpoint of step {done['step']:,}, seed {seeds[0]}")
    summary.evaluation(args.logdir / "eval", cut and (cut, settings.eval_eps))
    if video or args.video:
        print(f"video: {video or 'none, there is no image to see'}")
    return 128 + signal.Signals[cut] if cut else 0
