"""The verb `config`: what a configuration says, key by key."""

from __future__ import annotations

import argparse
import itertools

from embodied.core.errors import UserError

DESCRIPTION = """\
Prints every key of a configuration with its value, its meaning, unit and range, and what the paper
calls it. BLOCK is a block of configs.yaml, a yaml file, or the folder of a run, laid over the
defaults in order; flags are those of `train`.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb."""
    parser.description = DESCRIPTION
    # No argument of its own for BLOCK: it would take the value of `--run.steps 5`.
    parser.usage = "%(prog)s [-h] [BLOCK ...] [--diff A B] [--paper] [--markdown] [--KEY VALUE ...]"
    add = parser.add_argument
    add("--diff", nargs=2, metavar=("A", "B"),
        help="only the keys that two further blocks, laid over these, do not share")  # fmt: skip
    add("--paper", action="store_true", help="only the keys that the paper has a symbol for")
    add("--markdown", action="store_true", help="print the page docs/config.md")


def run(args: argparse.Namespace) -> int:
    """Prints the configuration."""
    from harmony_dreamerv3 import config as configs
    from harmony_dreamerv3.config import describe, overrides

    blocks = list(itertools.takewhile(lambda word: not word.startswith("--"), args.flags))
    flags = overrides.parse_flags(args.flags[len(blocks) :])
    if args.markdown:
        if blocks or args.diff or args.paper or flags:
            raise UserError("--markdown takes nothing else: it prints all keys with their defaults")
        print(describe.page(), end="")
        return 0

    def flat(*names: str) -> configs.Flat:
        config = configs.make([*blocks, *names], flags)
        return overrides.flatten(configs.to_dict(config))

    if args.diff:
        first, second = (flat(name) for name in args.diff)
        print(describe.difference(tuple(args.diff), first, second))
    else:
        found = flat()
        print(describe.text(found["base"], found, args.paper))
    return 0
