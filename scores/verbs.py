"""The verbs `table`, `diff`, `plot`, `place` and `report` of the command line."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embodied.core.errors import UserError, nearest
from scores import arguments, compare, configs, export, games, grid, load, protocol, table
from scores.formats import Reading
from scores.names import normalise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Loaded = tuple[list[load.Group], list[protocol.Column], list[load.Problem]]


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the verbs; each sets `run`, a function from its arguments to the exit status."""
    parsers = arguments.add_parsers(subparsers)
    for name, run in VERBS.items():
        parsers[name].set_defaults(run=run)


def _only(args: argparse.Namespace) -> list[str] | None:
    return [normalise(name) for name in args.games] if args.games else None


def _reading(args: argparse.Namespace) -> Reading:
    return Reading(args.frames_per_step, args.lists)


def _load(args: argparse.Namespace, sources: Sequence[str]) -> Loaded:
    groups, problems = load.load(sources, _only(args), _reading(args))
    known = {*games.atari100k(), *(run.game for group in groups for run in group.runs)}
    for name in _only(args) or []:
        if name not in known:
            raise UserError(f"no source has the game {name!r}{nearest(name, known)}")
    return groups, _columns(args, groups, args.protocol), problems


def _columns(
    args: argparse.Namespace, groups: Sequence[load.Group], name: str | None
) -> list[protocol.Column]:
    return protocol.columns(groups, name, args.frames, args.allow_unfinished)


def _finish(args: argparse.Namespace, problems: Sequence[load.Problem]) -> int:
    """Reports what was wrong with the files; returns the exit status that this calls for."""
    alike: dict[str, list[load.Problem]] = {}
    for problem in problems:
        alike.setdefault(problem.reason, []).append(problem)
    for same in alike.values():
        others = len({problem.path for problem in same}) - 1
        more = f" (and {others} more files alike)" if others else ""
        print(f"warning: {same[0]}{more}", file=sys.stderr)
    return int(bool(args.strict and problems))


def _write(out: Path | None, content: str | bytes) -> None:
    data = content.encode() if isinstance(content, str) else content
    if out is None:
        sys.stdout.write(data.decode())
        return
    try:
        out.write_bytes(data)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
    print(f"wrote {out}", file=sys.stderr)


def _print(
    args: argparse.Namespace,
    grids: Sequence[grid.Grid],
    records: Sequence[dict],
    more: dict[str, Any],
) -> None:
    """Writes grids as text, or records as CSV, or as JSON with what else there is to tell."""
    if args.format == "csv":
        content = grid.as_csv(records)
    elif args.format == "json":
        content = grid.as_json({"entries": records} | more)
    else:
        content = "\n".join(grid.RENDERERS[args.format](each) for each in grids)
    _write(args.out, content)


def _draw(out: Path, draw: Callable[[], Figure]) -> None:
    from scores.style import save

    save(draw(), out)
    print(f"wrote {out}", file=sys.stderr)


def _check(out: Path | None) -> None:
    """Refuses a figure's path before the work is done."""
    if out:
        from scores.style import check  # Lazy, with what it leads to.

        check(out)


def run_table(args: argparse.Namespace) -> int:
    """Prints the table, or exports the sources in another format."""
    groups, columns, problems = _load(args, args.sources or ["paper:all"])
    if args.format in export.FORMATS:
        data, lost = export.FORMATS[args.format](groups)
        _write(args.out or Path(export.NAMES[args.format]), data)
        return _finish(args, problems + lost)
    if args.reduction:
        columns = _reductions(args, groups)
    scores = table.build(columns, args.resamples, _only(args))
    more = {
        "notes": list(scores.notes),
        "problems": [str(problem) for problem in problems],
        "published": games.source(),
    }
    _print(args, [table.grid(scores, not args.no_intervals)], table.records(scores), more)
    return _finish(args, problems)


def _reductions(args: argparse.Namespace, groups: Sequence[load.Group]) -> list[protocol.Column]:
    """Scores every group by each of `--reduction`, side by side."""
    if args.protocol:
        raise UserError("--reduction and --protocol say the same thing; give one of them")
    names = [name for part in args.reduction for name in part.split(",")]
    sides = [_columns(args, groups, name) for name in names]
    if len(names) == 1:
        return sides[0]
    return [
        column if column.published else dataclasses.replace(column, name=f"{column.name}, {name}")
        for both in zip(*sides)
        for number, (name, column) in enumerate(zip(names, both))
        if not (number and column.published)
    ]


def run_diff(args: argparse.Namespace) -> int:
    """Compares two sources."""
    _check(args.forest)
    pair, problems = load.load_pair([args.a, args.b], _only(args), _reading(args))
    before, after = _columns(args, pair, args.protocol)
    comparison = compare.compare(before, after, args.test, args.resamples)
    keys, faults = configs.differences(*pair)
    problems += faults
    grids = [compare.grid(comparison)] + ([keys] if keys else [])
    records = compare.records(comparison)
    if args.format == "json":
        content = {
            "a": comparison.a,
            "b": comparison.b,
            "verdict": comparison.verdict,
            "worse": comparison.worse,
            "entries": records,
            "config": configs.records(keys) if keys else None,
            "notes": list(comparison.notes),
            "problems": [str(problem) for problem in problems],
        }
        _write(args.out, grid.as_json(content))
    else:
        _print(args, grids, records, {})
    if args.forest:
        from scores.forest import forest

        _draw(args.forest, lambda: forest(comparison))
    status = _finish(args, problems)
    return 1 if args.fail_if_worse and comparison.worse else status


def _scores(args: argparse.Namespace, out: Path) -> int:
    from scores import figures

    groups, columns, problems = _load(args, args.sources)
    draw: dict[str, Callable[[], Figure]] = {
        "curves": lambda: figures.learning_curves(groups, columns, args.frames, args.band),
        "bars": lambda: figures.bars(table.build(columns, only=_only(args))),
        "profiles": lambda: figures.profiles(columns),
        "efficiency": lambda: figures.efficiencies(groups, columns, args.frames),
    }
    _draw(out, draw[args.kind])
    return _finish(args, problems)


def _balance(args: argparse.Namespace, out: Path) -> int:
    from scores import balance_plot

    if len(args.sources) != 1:
        raise UserError(f"--kind balance draws one run folder, got {len(args.sources)} sources")
    _draw(out, lambda: balance_plot.balance(Path(args.sources[0])))
    return 0


# What `plot --kind` knows.
KINDS: dict[str, Callable[[argparse.Namespace, Path], int]] = {
    **dict.fromkeys(("curves", "bars", "profiles", "efficiency"), _scores),
    "balance": _balance,
}


def run_plot(args: argparse.Namespace) -> int:
    """Draws the figure of `--kind`."""
    if args.kind not in KINDS:
        known = ", ".join(KINDS)
        raise UserError(f"no kind {args.kind!r}; known: {known}{nearest(args.kind, KINDS)}")
    out = args.out or Path(f"{args.kind}.png")
    _check(out)
    return KINDS[args.kind](args, out)


def run_place(args: argparse.Namespace) -> int:
    """Says where runs lie among the seeds of other curves."""
    from scores import place

    _check(args.figure)
    groups, problems = load.load(args.sources, _only(args), _reading(args))
    wanted = sorted({run.game for group in groups for run in group.runs})
    others, faults = load.load([args.among], wanted or None, _reading(args))
    if len(others) != 1:
        several = ", ".join(group.name for group in others)
        raise UserError(f"--among takes one column, {args.among} has {len(others)}: {several}")
    placed = place.place(groups, others[0])
    _print(args, [place.grid(each) for each in placed], place.records(placed), {})
    if args.figure:
        _draw(args.figure, lambda: place.figure(placed))
    return _finish(args, problems + faults)


def run_report(args: argparse.Namespace) -> int:
    """Writes the page."""
    from scores.report import page

    if args.out.suffix not in (".html", ".htm"):
        raise UserError(f"the first argument is the page to write, OUT.html; got {args.out}")
    groups, columns, problems = _load(args, args.sources)
    _write(args.out, page(groups, columns, problems, args.frames, args.band, _only(args)))
    return _finish(args, problems)


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "table": run_table,
    "diff": run_diff,
    "plot": run_plot,
    "place": run_place,
    "report": run_report,
}
