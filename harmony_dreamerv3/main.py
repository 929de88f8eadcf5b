"""The command line. The only place that wires everything; heavy imports happen inside verbs."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from embodied.core.errors import UserError
from harmony_dreamerv3 import __version__

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
      argv: arguments without the program's name; None for those of the process.

    Returns:
      The exit status: 0, or 2 for wrong input, or what the verb says.
    """
    try:
        parser = build_parser()
        args, rest = parser.parse_known_args(argv)
        if rest and not getattr(args, "takes_flags", False):
            raise UserError(f"{args.verb}: unknown argument {rest[0]!r}; see --help")
        args.flags = rest
        return int(args.run(args))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has gone, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        full = error.errno in FULL
        remedy = "free some space" if full else "check that path and who may use it"
        print(f"error: {error}; {remedy} and run it again", file=sys.stderr)
        return 2


class Parser(argparse.ArgumentParser):
    """A parser whose complaints look like all others, and whose flags have no short forms.

    Short forms would take `--seed 0`, a key of the configuration, for `--seeds 0`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raises the complaint instead of printing usage."""
        raise UserError(f"{message}; see {self.prog} --help")


def build_parser() -> Parser:
    """Builds the parser of all verbs."""
    parser = Parser(prog="harmony-dreamerv3", description=__doc__.splitlines()[0])
    parser.description = "HarmonyDream on DreamerV3 in JAX: train, evaluate, compare."
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)
    for register in registrations():
        register(verbs)
    return parser


def registrations() -> list[Callable[[argparse._SubParsersAction], None]]:
    """Functions that add verbs; none of them imports JAX."""
    from harmony_dreamerv3.verbs import analyze, interop, sweep, train
    from scores import verbs as scores

    return [module.register for module in (train, sweep, scores, analyze, interop)]


if __name__ == "__main__":
    sys.exit(main())
