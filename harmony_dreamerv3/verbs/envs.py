"""The verb `envs`: what environments there are, and what they look like."""

from __future__ import annotations

import argparse
from pathlib import Path

from embodied.core.errors import UserError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.description = (
        "Lists the suites, or the tasks with a word in their names; with --show plays one task at "
        "random, says its spaces, and writes a contact sheet or a film. Options of its suite are "
        "flags, as for `train`."
    )
    parser.add_argument("--search", default="", metavar="WORD", help="list tasks with this word")
    parser.add_argument("--show", metavar="TASK", help="play a task and write what is seen")
    parser.add_argument("--out", type=Path, metavar="F", help="of --show: .png or .gif (TASK.png)")
    parser.add_argument("--steps", type=int, default=200, metavar="N", help="of --show (200)")
    parser.add_argument("--configs", nargs="+", default=[], metavar="BLOCK", help="of --show")


def run(args: argparse.Namespace) -> int:
    """Lists or shows."""
    from embodied.envs._tools import browse
    from harmony_dreamerv3 import config

    if not args.show:
        if args.flags or args.out:
            raise UserError("envs: flags and --out belong to --show TASK")
        print(browse.listing(args.search))
        return 0
    import embodied.envs
    from harmony_dreamerv3.config import overrides

    if args.steps < 1:
        raise UserError(f"--steps must be at least 1, got {args.steps}")
    flags = overrides.parse_flags(args.flags)
    made = config.make(args.configs, {**flags, "task": args.show})
    options = embodied.envs.options_of(made.task, made.env)
    print(browse.show(made.task, options, args.out, args.steps))
    return 0
