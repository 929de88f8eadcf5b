"""The verb `analyze`."""

from __future__ import annotations

import argparse
from pathlib import Path

from embodied.core.errors import UserError

DESCRIPTION = """\
Trains world models, and nothing else, on a fixed buffer under several balancing methods, and
judges what they predict of episodes that were held out: rewards after --observed steps, true state
from latents, a strip of frames. SOURCE is a run folder with a checkpoint, whose replay is the
buffer, or a folder written by --export-buffer. Methods are blocks of configs.yaml, laid over the
run's configuration; any key of it is a flag for all of them, as for `train`.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb."""
    parser.description, parser.formatter_class = DESCRIPTION, argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("source", nargs="?", type=Path, metavar="SOURCE", help="run folder or buffer folder")
    add("--out", type=Path, metavar="D", help="folder for numbers, curves and figures")
    add("--methods", nargs="+", metavar="BLOCK",
        help="config blocks, one a method (the run's base, and harmony on it)")  # fmt: skip
    add("--seeds", nargs="+", type=int, default=[0], metavar="N", help="of each method (0)")
    add("--updates", type=int, default=10000, metavar="N", help="of each world model (10000)")
    add("--log-every", type=int, default=50, metavar="N", help="updates between records (50)")
    add("--holdout", type=float, default=0.1, metavar="X",
        help="share of the steps to hold out, the last episodes (0.1)")  # fmt: skip
    add("--observed", type=int, default=35, metavar="N", help="steps a model sees (35)")
    add("--predicted", type=int, default=15, metavar="N", help="steps it then predicts (15)")
    add("--windows", type=int, default=500, metavar="N",
        help="at most so many windows of each part are predicted (500)")  # fmt: skip
    add("--tolerance", type=float, metavar="R",
        help="a predicted reward is right when nearer than this (default: half of the smallest "
        "reward paid; where most steps pay, half of the standard deviation)")  # fmt: skip
    add("--state", nargs="+", default=[], metavar="KEY",
        help="vectors to regress from latents (default: those that no model sees)")  # fmt: skip
    add("--regression-updates", type=int, default=2000, metavar="N",
        help="of each regression (2000)")  # fmt: skip
    add("--strip", nargs=3, type=int, default=[15, 35, 5], metavar=("N", "M", "K"),
        help="the strip: N steps observed, M predicted, a frame every K (15 35 5)")  # fmt: skip
    add("--export-buffer", type=Path, metavar="D",
        help="only write the transitions of SOURCE to a folder, and end")  # fmt: skip
    add("--figures-from", type=Path, metavar="D",
        help="only draw the figures again from the records in D, and end")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Runs the verb; returns 1 when a world model's loss was not finite."""
    try:
        from lab import figures, text
    except ModuleNotFoundError as error:
        if error.name != "lab":
            raise
        raise UserError(
            "analyze needs the folder lab of a checkout, which is not part of the installed "
            "package; run it there: python -m harmony_dreamerv3 analyze"
        ) from error
    if args.figures_from:
        if args.source or args.flags:
            raise UserError("--figures-from D takes nothing else: it reads the records in D")
        for path in figures.draw(args.figures_from):
            print(f"wrote {path}")
        return 0
    if args.source is None:
        raise UserError("analyze: expected SOURCE, a run folder or a buffer folder")
    from harmony_dreamerv3.config import overrides
    from lab import buffer as buffers

    if args.export_buffer:
        buffer = buffers.read(args.source)
        buffers.write(buffer, args.export_buffer)
        print(f"wrote {buffer.size:,} transitions to {args.export_buffer}")
        return 0
    if args.out is None:
        raise UserError("analyze: expected --out D, a folder for the results")
    from lab import analyze, methods
    from lab.options import Options

    options = Options(
        tuple(args.seeds), args.updates, args.log_every, args.holdout, args.observed,
        args.predicted, args.windows, args.tolerance, tuple(args.state), args.regression_updates,
        (args.strip[0], args.strip[1], args.strip[2]),
    )  # fmt: skip
    flags = overrides.parse_flags(args.flags)
    buffer = buffers.read(args.source)
    names = methods.defaults(buffer.config.base) if args.methods is None else args.methods
    made = methods.make(buffer.config, names, flags)
    result = analyze.analyze(buffer, args.source, made, options, args.out)
    print(text.describe(result))
    for path in figures.draw(args.out):
        print(f"wrote {path}")
    return int(bool(result["failed"]))
