"""A verb of the command line, and a parser of many."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from embodied.core.errors import UserError


@dataclasses.dataclass(frozen=True)
class Verb:
    """One verb."""

    help: str  # a line
    arguments: Callable[[Parser], None]  # adds them to a parser, and says more in its description
    run: Callable[[argparse.Namespace], int]  # from the parsed arguments to the exit status
    # Whether what the parser does not know is kept in `args.flags`, a list of words; else it is an
    # error.
    takes_flags: bool = False


class Parser(argparse.ArgumentParser):
    """A parser whose complaints look like all others, and whose flags have no short forms.

    Short forms would take `--seed 0`, a key of the configuration, for `--seeds 0`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})
        self.details: Callable[[], str] = lambda: ""  # Called when the help is printed, not before.

    def format_help(self) -> str:
        """The help, with what `details` adds to its end."""
        return super().format_help() + self.details()

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raises the complaint instead of printing usage."""
        raise UserError(f"{message}; see {self.prog} --help")


def parse(parser: Parser, verbs: Mapping[str, Verb], argv: Any) -> argparse.Namespace:
    """Parses a command line into the arguments of one verb.

    Args:
      parser: of the program; gets the verbs.
      verbs: by name, in the order of the help.
      argv: words; None for those of the process.

    Returns:
      The arguments, with `run` and `flags`.

    Raises:
      UserError: for a word that nobody takes.
    """
    subparsers = parser.add_subparsers(
        dest="verb", required=True, metavar="VERB", parser_class=Parser
    )
    for name, verb in verbs.items():
        own = subparsers.add_parser(name, help=verb.help)
        verb.arguments(own)
        own.set_defaults(run=verb.run)
    args, rest = parser.parse_known_args(argv)
    if rest and not verbs[args.verb].takes_flags:
        raise UserError(f"{args.verb}: unknown argument {rest[0]!r}; see --help")
    args.flags = rest
    return args
