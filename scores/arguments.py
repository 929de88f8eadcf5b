"""The arguments of the verbs, each defined once."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
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


def _option(help: str, **settings: Any) -> dict[str, Any]:
    return {"help": help, **settings}


def _flag(help: str) -> dict[str, Any]:
    return {"help": help, "action": "store_true"}


PROTOCOL = (
    f"how a run is scored: {'; '.join(f'{k}: {what}' for k, what in protocol.PROTOCOLS.items())}. "
    "Default: final-eval, and train-window for a source without evaluations"
)
FRAMES = (
    "frames at which runs are scored (400K for Atari 100K, else the smallest length that all "
    "sources have)"
)
UNFINISHED = "score runs that have not reached these frames where they stand"
UNIT = (
    "frames of one step in files that count steps without saying which: 1 if these are frames, 4 "
    "if they are agent steps of Atari"
)
LISTS = (
    "what a list of numbers for each seed is: episodes of one evaluation (their mean counts) or a "
    "curve over training (the last one counts)"
)
REDUCTION = (
    "like --protocol, but several give several columns for each source: last-eval, last-episode, "
    "window-10%%, best, or a protocol"
)
EXPORTS = (
    "upstream: training episodes as scores.json.gz; harmonydream: evaluations as {steps, score}"
)
FIGURE = {"type": Path, "help": "figure to write (.png, .svg, .pdf)"}
KINDS = "curves, bars, profiles, efficiency; balance (of one run)"
# By name; an argument of one verb alone is given with the verb.
COMMON: Mapping[str, dict[str, Any]] = {
    "sources": _option(load.HELP, nargs="+", metavar="SOURCE"),
    "--protocol": _option(PROTOCOL, choices=protocol.PROTOCOLS),
    "--frames": _option(FRAMES, type=count),
    "--games": _option("only these games", nargs="+", metavar="GAME"),
    "--strict": _flag("exit with 1 if any file had a fault"),
    "--allow-unfinished": _flag(UNFINISHED),
    "--frames-per-step": _option(UNIT, type=count, metavar="N"),
    "--lists": _option(LISTS, choices=("episodes", "curve")),
    "--resamples": _option("bootstrap resamples behind the intervals (%(default)s)", type=count),
    "--format": {"default": "text", "choices": TEXT_FORMATS},
    "--out": _option("file to write instead of printing", type=Path),
    "--band": _option("of curves: deviation or 95%% interval", default="sd", choices=("sd", "ci")),
}
READ: dict[str, dict[str, Any]] = {
    "--frames-per-step": {},
    "--lists": {},
    "--games": {},
    "--strict": {},
}
SCORED = READ | {"--protocol": {}, "--frames": {}, "--allow-unfinished": {}}
PRINTED: dict[str, dict[str, Any]] = {"--format": {}, "--out": {}}
# Verb -> settings of its parser, and its arguments with what differs from `COMMON`.
VERBS: Mapping[str, tuple[dict[str, Any], dict[str, dict[str, Any]]]] = {
    "table": (
        {
            "help": "scores of all games with the published ones beside them",
            "description": "Prints the benchmark table: mean scores, human-normalised aggregates "
            "and their stratified bootstrap intervals. Steps are environment frames throughout.",
        },
        {"sources": _option(f"{load.HELP}. None: the published columns", nargs="*")}
        | SCORED
        | {"--reduction": _option(REDUCTION, nargs="+", metavar="R")}
        | {"--resamples": {"default": stats.RESAMPLES}}
        | {"--format": _option(EXPORTS, choices=[*TEXT_FORMATS, *export.FORMATS]), "--out": {}}
        | {"--no-intervals": _flag("leave out the intervals of single games")},
    ),
    "diff": (
        {
            "help": "compare two sources game by game and over all games",
            "description": "Compares B with A, the baseline: differences are B - A.",
        },
        {"a": _option(load.HELP, metavar="A"), "b": _option("likewise", metavar="B")}
        | SCORED
        | {"--resamples": {"default": compare.RESAMPLES}}
        | {"--test": _option("of the seeds of a game", default="welch", choices=TESTS)}
        | {"--fail-if-worse": _flag("exit with 1 if B is worse overall or on any single game")}
        | PRINTED
        | {"--forest": _option("forest plot to write (.png, .svg, .pdf)", type=Path)},
    ),
    "plot": (
        {"help": "figures of scores"},
        {"sources": {}}
        | SCORED
        | {"--kind": _option(KINDS, default="curves")}
        | {"--out": {"help": "file to write (.png, .svg, .pdf); <kind>.png"}, "--band": {}},
    ),
    "place": (
        {
            "help": "where runs lie among the seeds of published curves",
            "description": "Says of every evaluation of the runs whether it lies inside, above or "
            "below all seeds of other curves.",
        },
        {"sources": {"metavar": "RUN"}}
        | {"--among": _option("curves of several seeds", required=True, metavar="SOURCE")}
        | READ
        | PRINTED
        | {"--figure": FIGURE},
    ),
    "report": (
        {"help": "tables and figures in one self-contained page"},
        {"out": _option("the page to write", type=Path, metavar="OUT.html"), "sources": {}}
        | SCORED
        | {"--band": {"help": "of the curves"}},
    ),
}


def fill(parser: argparse.ArgumentParser, verb: str) -> None:
    """Adds the arguments of a verb, one of `VERBS`, to its parser."""
    settings, own = VERBS[verb]
    parser.description = settings.get("description")
    for name, changes in own.items():
        parser.add_argument(name, **COMMON.get(name, {}) | changes)
