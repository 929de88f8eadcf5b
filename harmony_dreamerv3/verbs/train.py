"""The verb `train`: configuration, environments, learners, run loop."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from embodied.core.errors import UserError
from embodied.core.verb import Parser

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
    add("--init", metavar="SOURCE", help="begin with the parameters that fit of a run, a "
        "checkpoint, a hub folder, or a file under the released code's names")  # fmt: skip
    add("--init-keys", metavar="REGEX", help="of --init: only those, such as world_model/")
    add("--offline", metavar="REPLAY", help="train on the replay of a run, without an environment")
    add("--seeds", nargs="+", type=int, metavar="N", help="one learner for each, always a list")


def _blocks() -> str:
    from harmony_dreamerv3 import config

    names = [name for name in config.block_names(config.blocks()) if name != "defaults"]
    text = textwrap.fill(" ".join(names), initial_indent="  ", subsequent_indent="  ")
    return f"\nBlocks (a yaml file, or the folder of a run, is one, too):\n{text}\n"


def run(args: argparse.Namespace) -> int:
    """Trains, or continues what the folder holds.

    Returns:
      0 at the end or after SIGTERM, 130 after SIGINT, 1 when learners had to be frozen.
    """
    from harmony_dreamerv3 import config
    from harmony_dreamerv3.config import folder, overrides

    flags = overrides.parse_flags(args.flags)
    own = {"init": args.init, "init_keys": args.init_keys, "run.offline": args.offline}
    flags |= {key: value for key, value in own.items() if value is not None}
    if args.seeds and "seed" in flags:
        raise UserError("give --seed or --seeds, not both")
    seeds = args.seeds
    if args.logdir and not args.configs and folder.holds_run(Path(args.logdir)):
        made, members = folder.resume(Path(args.logdir), flags)
        seeds = seeds or members
    else:
        made = config.make(args.configs, flags)
    from harmony_dreamerv3.api.training import train

    result = train(made, logdir=args.logdir, seeds=seeds)
    if any(member["frozen"] for member in result["members"]):
        return 1
    return 130 if result["signal"] == "SIGINT" else 0
