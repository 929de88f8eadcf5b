"""The verb `train`: configuration, environments, learners, run loop."""

from __future__ import annotations

import argparse
import dataclasses
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embodied.core.errors import UserError
from embodied.core.verb import Parser

if TYPE_CHECKING:
    from harmony_dreamerv3.config import Config

DESCRIPTION = """\
Trains one agent, or several seeds of one task as one program. The same command line continues a run
from its last checkpoint; so does --logdir alone, with flags only for what is to change.
"""
FLAGS_HELP = """\
Every key of a configuration is a flag, nested keys with dots, regular expressions included:
  --task atari_pong --harmony True --run.steps 1e5 --rssm.deter 256 '--.*\\.units$' 256
Counts are agent steps (policy decisions) unless their meaning says updates, windows or
episodes; frames = agent steps x repeat (4 in Atari). `config BLOCK...` prints every key, its
value and its meaning.
"""


def arguments(parser: Parser) -> None:
    """Adds the arguments of the verb."""
    parser.details = _blocks
    parser.description, parser.epilog = DESCRIPTION, FLAGS_HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--configs", nargs="+", default=[], metavar="BLOCK", help="config blocks")
    add("--logdir", help="run folder (default: runs/TASK-LABEL-SEED); {timestamp} is the time")
    add("--seeds", nargs="+", type=int, metavar="N", help="one learner for each, always a list")


def _blocks() -> str:
    from harmony_dreamerv3 import config

    names = [name for name in config.block_names(config.blocks()) if name != "defaults"]
    text = textwrap.fill(" ".join(names), initial_indent="  ", subsequent_indent="  ")
    return f"\nBlocks (a yaml file, or the folder of a run, is one, too):\n{text}\n"


def run(args: argparse.Namespace) -> int:
    """Trains, or continues what the folder holds."""
    from harmony_dreamerv3 import config
    from harmony_dreamerv3.config import folder, overrides

    flags = overrides.parse_flags(args.flags)
    if args.seeds and "seed" in flags:
        raise UserError("give --seed or --seeds, not both")
    seeds = args.seeds
    if args.logdir and not args.configs and folder.holds_run(Path(args.logdir)):
        made, members = folder.resume(Path(args.logdir), flags)
        seeds = seeds or members
    else:
        made = config.make(args.configs, flags)
    return train(made, args.logdir, seeds)


def train(config: Config, logdir: str | Path | None, seeds: Sequence[int] | None) -> int:
    """Trains until the end or a signal, and says what came of it.

    Args:
      config: the configuration.
      logdir: run folder; with `seeds` the folder around those of the seeds.
      seeds: of a population; None trains the one seed of the configuration in `logdir` itself.

    Returns:
      0 at the end or after SIGTERM, 130 after SIGINT, 1 when learners had to be frozen.

    Raises:
      UserError: wrong configuration, a folder of another run, a failing environment.
    """
    import embodied.run
    from embodied.checkpoint.checkpoints import Checkpoints
    from embodied.core.rng import check_seeds
    from harmony_dreamerv3.config import environments, folder, labels
    from harmony_dreamerv3.runtime import devices, multihost
    from harmony_dreamerv3.runtime.runtime import Runtime
    from harmony_dreamerv3.verbs import summary

    members = list(seeds) if seeds else [config.seed]
    check_seeds(members)
    config = dataclasses.replace(config, label=config.label or labels.derive(config))
    place = str(logdir or config.logdir or f"runs/{folder.default_name(config, seeds)}")
    root = Path(folder.expand(place, config))
    folders = [root / f"seed-{seed}" for seed in members] if seeds else [root]
    Checkpoints(root, folders).check_members()
    saved = [
        folder.prepare(each, dataclasses.replace(config, seed=seed, logdir=str(each)))
        for each, seed in zip(folders, members)
    ]
    with devices.memory_errors():
        device = devices.setup(config.jax)[0]
        multihost.check(config, len(members))
        make_env = environments.maker(config)
        spaces = environments.spaces(make_env)
        with multihost.records(root) as mine:
            learner = Runtime(config, spaces.obs, spaces.act, members)
            folders = [mine / each.relative_to(root) for each in folders]
            print(
                f"{config.task}, method {config.label}, seeds {members}, {learner.parameters:,} "
                f"parameters each, on {device.device_kind} ({device.platform}); records in {mine}",
                flush=True,
            )
            if note := environments.note(config):
                print(f"note: {note}", flush=True)
            eval_env = environments.maker(config, evaluation=True)
            result = embodied.run.train_eval(
                learner, make_env, eval_env if config.run.eval_every else None, folders, members,
                config.run, config.batch_size, config.batch_length, mine, saved,
            )  # fmt: skip
            for each, seed in zip(folders, members):
                own = dataclasses.replace(config, seed=seed)
                print(summary.describe(each, own, spaces.repeat), flush=True)
    if any(member["frozen"] for member in result["members"]):
        return 1
    return 130 if result["signal"] == "SIGINT" else 0
