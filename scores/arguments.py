"""The arguments of the verbs, each defined once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from scores import compare, export, load, protocol, stats
from scores.significance import TESTS

TEXT_FORMATS = ("text", "md", "latex", "csv", "json")


def count(text: str) -> int:
    """Parses a whole number of at least 1, such as `4e5`."""
    try:
        value = int(float(text))
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return value


_FLAG: dict[str, Any] = {"action": "store_true"}
_PROTOCOLS = "; ".join(f"{name}: {what}" for name, what in protocol.PROTOCOLS.items())
ARGUMENTS: dict[str, dict[str, Any]] = {
    "sources": {"metavar": "SOURCE", "help": load.HELP},
    "--protocol": {
        "choices": protocol.PROTOCOLS,
        "help": f"how a run is scored: {_PROTOCOLS}. Default: final-eval, and train-window for a "
        "source without evaluations",
    },
    "--frames": {
        "type": count,
        "help": "frames at which runs are scored (400K for Atari 100K; else the smallest length "
        "that all sources have)",
    },
    "--games": {"nargs": "+", "metavar": "GAME", "help": "only these games"},
    "--strict": _FLAG | {"help": "exit with 1 if any file had a fault"},
    "--allow-unfinished": _FLAG
    | {"help": "score runs that have not reached these frames where they stand"},
    "--frames-per-step": {
        "type": count,
        "metavar": "N",
        "help": "frames of one step in files that count steps without saying which: 1 if these "
        "are frames, 4 if they are agent steps of Atari",
    },
    "--lists": {
        "choices": ("episodes", "curve"),
        "help": "what a list of numbers for each seed is: episodes of one evaluation (their mean "
        "counts) or a curve over training (the last one counts)",
    },
    "--resamples": {
        "type": count,
        "default": stats.RESAMPLES,
        "help": "bootstrap resamples behind the intervals (%(default)s)",
    },
    "--format": {"default": "text", "choices": TEXT_FORMATS},
    "--out": {"type": Path, "help": "file to write instead of printing"},
    "--band": {
        "default": "sd",
        "choices": ("sd", "ci"),
        "help": "of curves: deviation or 95%% interval",
    },
}
SCORED = ("--protocol", "--frames", "--games", "--strict", "--allow-unfinished")
READ = ("--frames-per-step", "--lists")


def add_parsers(subparsers: argparse._SubParsersAction) -> dict[str, argparse.ArgumentParser]:
    """Adds a parser for each verb and returns them by name."""
    return {
        verb: add(subparsers)
        for verb, add in {
            "table": _table,
            "diff": _diff,
            "plot": _plot,
            "place": _place,
            "report": _report,
        }.items()
    }


def _add(parser: argparse.ArgumentParser, *names: str, **changes: dict[str, Any]) -> None:
    """Adds arguments of `ARGUMENTS`, or new ones, with changes by name without dashes."""
    for name in names:
        parser.add_argument(name, **ARGUMENTS.get(name, {}) | changes.get(name.strip("-"), {}))


def _table(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(
        "table",
        help="scores of all games with the published ones beside them",
        description="Prints the benchmark table: mean scores, human-normalised aggregates and "
        "their stratified bootstrap intervals. Steps are environment frames throughout.",
    )
    _add(
        parser,
        *("sources", *SCORED, "--reduction", *READ, "--resamples", "--format", "--out"),
        "--no-intervals",
        sources={"nargs": "*", "help": f"{load.HELP}. None: the published columns"},
        reduction={
            "nargs": "+",
            "metavar": "R",
            "help": "like --protocol, but several give several columns for each source: "
            "last-eval, last-episode, window-10%%, best, or a protocol",
        },
        format={
            "choices": [*TEXT_FORMATS, *export.FORMATS],
            "help": "upstream: training episodes as scores.json.gz; harmonydream: evaluations as "
            "{steps, score}",
        },
        **{"no-intervals": _FLAG | {"help": "leave out the intervals of single games"}},
    )
    return parser


def _diff(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(
        "diff",
        help="compare two sources game by game and over all games",
        description="Compares B with A, the baseline: differences are B - A.",
    )
    _add(
        parser,
        *("a", "b", *SCORED, *READ, "--resamples", "--test", "--fail-if-worse", "--format"),
        *("--out", "--forest"),
        a={"metavar": "A", "help": load.HELP},
        b={"metavar": "B", "help": "likewise"},
        resamples={"default": compare.RESAMPLES},
        test={"default": "welch", "choices": TESTS, "help": "of the seeds of a game"},
        forest={"type": Path, "help": "forest plot to write (.png, .svg, .pdf)"},
        **{
            "fail-if-worse": _FLAG
            | {"help": "exit with 1 if B is worse overall or on any single game"}
        },
    )
    return parser


def _plot(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = subparsers.add_parser("plot", help="figures of scores")
    kinds = "curves, bars, profiles, efficiency; balance (of one run)"
    _add(
        parser,
        *("sources", *SCORED, *READ, "--kind", "--out", "--band"),
        sources={"nargs": "+"},
        kind={"default": "curves", "help": kinds},
        out={"help": "file to write (.png, .svg, .pdf); <kind>.png"},
    )
    return parser


def _place(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(
        "place",
        help="where runs lie among the seeds of published curves",
        description="Says of every evaluation of the runs whether it lies inside, above or below "
        "all seeds of other curves.",
    )
    _add(
        parser,
        *("sources", "--among", "--games", *READ, "--format", "--out", "--figure", "--strict"),
        sources={"nargs": "+", "metavar": "RUN"},
        among={"required": True, "metavar": "SOURCE", "help": "curves of several seeds"},
        figure={"type": Path, "help": "figure to write (.png, .svg, .pdf)"},
    )
    return parser


def _report(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = subparsers.add_parser("report", help="tables and figures in one self-contained page")
    _add(
        parser,
        *("out", "sources", *SCORED, *READ, "--band"),
        out={"type": Path, "metavar": "OUT.html", "help": "the page to write"},
        sources={"nargs": "+"},
        band={"help": "of the curves"},
    )
    return parser
