"""The verbs `train`, `eval` and `doctor`."""

from __future__ import annotations

import argparse
from pathlib import Path

from embodied.core.errors import UserError

FLAGS_HELP = """\
Every key of configs.yaml is a flag, nested keys with dots, regular expressions included:
  --task atari_pong --harmony True --run.steps 1e5 --rssm.deter 256 '--.*\\.units$' 256
Counts are agent steps (policy decisions) unless their comment says updates, windows or
episodes; frames = agent steps x repeat (4 in Atari). `doctor --configs NAME` prints the
resulting configuration with every key.
"""


def register(verbs: argparse._SubParsersAction) -> None:
    """Adds the verbs to the parser."""
    form = argparse.RawDescriptionHelpFormatter
    train = verbs.add_parser(
        "train",
        help="train agents, or continue a run",
        formatter_class=form,
        epilog=FLAGS_HELP,
        description="Trains one agent, or several seeds of one task as one program. The same "
        "command line continues a run from its last checkpoint.",
    )
    train.add_argument("--configs", nargs="+", default=[], metavar="BLOCK", help="config blocks")
    train.add_argument("--logdir", type=Path, help="run folder (default: runs/TASK-METHOD-SEED)")
    train.add_argument(
        "--seeds", nargs="+", type=int, metavar="N", help="one learner for each, always a list"
    )
    train.set_defaults(run=run_train, takes_flags=True)

    evaluate = verbs.add_parser("eval", help="evaluate the last checkpoint of a run")
    evaluate.add_argument("logdir", type=Path, metavar="RUN", help="run folder")
    evaluate.add_argument("--episodes", type=int, help="default: run.eval_eps of the run")
    evaluate.add_argument("--platform", default=None, help="auto, cpu, gpu or tpu")
    evaluate.set_defaults(run=run_eval)

    doctor = verbs.add_parser("doctor", help="check versions, devices, games, rendering")
    only = "instead print the configuration of these blocks and flags"
    doctor.add_argument("--configs", nargs="+", default=None, metavar="BLOCK", help=only)
    doctor.set_defaults(run=run_doctor, takes_flags=True)


def run_train(args: argparse.Namespace) -> int:
    """Trains; see `harmony_dreamerv3.verbs.training`."""
    from harmony_dreamerv3 import config
    from harmony_dreamerv3.config import overrides
    from harmony_dreamerv3.verbs import training

    flags = overrides.parse_flags(args.flags)
    if args.seeds and "seed" in flags:
        raise UserError("give --seed or --seeds, not both")
    return training.train(config.make(args.configs, flags), args.logdir, args.seeds)


def run_eval(args: argparse.Namespace) -> int:
    """Evaluates the last checkpoint of a run."""
    from harmony_dreamerv3.verbs import training

    return training.evaluate(args.logdir, args.episodes, args.platform)


def run_doctor(args: argparse.Namespace) -> int:
    """Checks the installation, or prints a configuration."""
    from harmony_dreamerv3 import config
    from harmony_dreamerv3.config import overrides
    from harmony_dreamerv3.verbs import doctor

    flags = overrides.parse_flags(args.flags)
    if args.configs is not None:
        print(config.dump(config.make(args.configs, flags)), end="")
        return 0
    return doctor.main(config.make([], flags))
