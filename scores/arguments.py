"""The arguments of the verbs."""

from __future__ import annotations

import argparse
from pathlib import Path

from scores import compare, export, load, protocol, stats
from scores.significance import TESTS

TEXT_FORMATS = ("text", "md", "latex", "csv", "json")
RESAMPLES = "bootstrap resamples behind the intervals (%(default)s)"


def add_parsers(subparsers: argparse._SubParsersAction) -> dict[str, argparse.ArgumentParser]:
    """Adds a parser for each verb and returns them by name."""
    return {
        "table": _table(subparsers),
        "diff": _diff(subparsers),
        "plot": _plot(subparsers),
        "place": _place(subparsers),
        "report": _report(subparsers),
    }


def _table(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    make = subparsers.add_parser(
        "table",
        help="scores of all games with the published ones beside them",
        description="Prints the benchmark table: mean scores, human-normalised aggregates and "
        "their stratified bootstrap intervals. Steps are environment frames throughout.",
    )
    sources = f"{load.HELP}. None: the published columns"
    make.add_argument("sources", nargs="*", metavar="SOURCE", help=sources)
    _common(make)
    make.add_argument("--resamples", type=_count, default=stats.RESAMPLES, help=RESAMPLES)
    make.add_argument(
        "--format",
        default="text",
        choices=[*TEXT_FORMATS, *export.FORMATS],
        help="upstream: training episodes as scores.json.gz; harmonydream: evaluations as "
        "{steps, score}",
    )
    make.add_argument("--out", type=Path, help="file to write instead of printing")
    make.add_argument(
        "--no-intervals", action="store_true", help="leave out the intervals of single games"
    )
    return make


def _diff(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    make = subparsers.add_parser(
        "diff",
        help="compare two sources game by game and over all games",
        description="Compares B with A, the baseline: differences are B - A.",
    )
    make.add_argument("a", metavar="A", help=load.HELP)
    make.add_argument("b", metavar="B", help="likewise")
    _common(make)
    make.add_argument("--resamples", type=_count, default=compare.RESAMPLES, help=RESAMPLES)
    make.add_argument("--test", default="welch", choices=TESTS, help="of the seeds of a game")
    make.add_argument(
        "--fail-if-worse",
        action="store_true",
        help="exit with 1 if B is worse overall or on any single game",
    )
    make.add_argument("--format", default="text", choices=TEXT_FORMATS)
    make.add_argument("--out", type=Path, help="file to write instead of printing")
    make.add_argument("--forest", type=Path, help="forest plot to write (.png, .svg, .pdf)")
    return make


def _plot(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    make = subparsers.add_parser("plot", help="figures of scores")
    make.add_argument("sources", nargs="+", metavar="SOURCE", help=load.HELP)
    _common(make)
    make.add_argument(
        "--kind", default="curves", help="curves, bars, profiles, efficiency; balance (of one run)"
    )
    make.add_argument("--out", type=Path, help="file to write (.png, .svg, .pdf); <kind>.png")
    make.add_argument(
        "--band", default="sd", choices=("sd", "ci"), help="of curves: deviation or 95%% interval"
    )
    return make


def _place(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    make = subparsers.add_parser(
        "place",
        help="where runs lie among the seeds of published curves",
        description="Says of every evaluation of the runs whether it lies inside, above or below "
        "all seeds of other curves.",
    )
    make.add_argument("sources", nargs="+", metavar="RUN", help=load.HELP)
    make.add_argument("--among", required=True, metavar="SOURCE", help="curves of several seeds")
    make.add_argument("--games", nargs="+", metavar="GAME", help="only these games")
    make.add_argument("--format", default="text", choices=TEXT_FORMATS)
    make.add_argument("--out", type=Path, help="file to write instead of printing")
    make.add_argument("--figure", type=Path, help="figure to write (.png, .svg, .pdf)")
    make.add_argument("--strict", action="store_true", help="exit with 1 if any file had a fault")
    return make


def _report(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    make = subparsers.add_parser("report", help="tables and figures in one self-contained page")
    make.add_argument("out", type=Path, metavar="OUT.html")
    make.add_argument("sources", nargs="+", metavar="SOURCE", help=load.HELP)
    _common(make)
    make.add_argument("--band", default="sd", choices=("sd", "ci"), help="of the curves")
    return make


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--protocol",
        choices=protocol.PROTOCOLS,
        help="how a run is scored: "
        + "; ".join(f"{name}: {what}" for name, what in protocol.PROTOCOLS.items())
        + ". Default: final-eval, and train-window for a source without evaluations",
    )
    parser.add_argument(
        "--frames", type=_count, help="frames at which runs are scored (400K for Atari 100K)"
    )
    parser.add_argument("--games", nargs="+", metavar="GAME", help="only these games")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if any file had a fault")


def _count(text: str) -> int:
    try:
        value = int(float(text))
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return value
