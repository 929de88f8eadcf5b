"""The verbs `table`, `diff`, `plot`, `place` and `report` of the command line."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embodied.core.errors import UserError, nearest
from embodied.core.verb import Verb
from scores import arguments, compare, configs, export, games, grid, load, protocol, table
from scores.names import normalise
from scores.reading import Reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Loaded = tuple[list[load.Group], list[protocol.Column], list[load.Problem]]


def _settings(args: argparse.Namespace) -> tuple[list[str] | None, Reading]:
    """Returns the only games that are wanted, and what the files do not say."""
    only = [normalise(name) for name in args.games] if args.games else None
    return only, Reading(args.frames_per_step, args.lists)


def _load(args: argparse.Namespace, sources: Sequence[str]) -> Loaded:
    only, reading = _settings(args)
    groups, problems = load.load(sources, only, reading)
    known = {*games.atari100k(), *(run.game for group in groups for run in group.runs)}
    for name in only or []:
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
    args: argparse.Namespace, grids: Sequence[grid.Grid], records: list[dict], content: dict
) -> None:
    """Writes grids as text, records as CSV, or all content as JSON."""
    if args.format == "csv":
        _write(args.out, grid.as_csv(records))
    elif args.format == "json":
        _write(args.out, grid.as_json(content))
    else:
        _write(args.out, "\n".join(grid.RENDERERS[args.format](each) for each in grids))


def _draw(out: Path | None, draw: Callable[[], Figure]) -> None:
    """Writes a figure, if there is a file for it."""
    if out:
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
    scores = table.build(columns, args.resamples, _settings(args)[0])
    records = table.records(scores)
    content = {
        "entries": records,
        "notes": list(scores.notes),
        "problems": [str(problem) for problem in problems],
        "published": games.source(),
    }
    _print(args, [table.grid(scores, not args.no_intervals)], records, content)
    return _finish(args, problems)


def _reductions(args: argparse.Namespace, groups: Sequence[load.Group]) -> list[protocol.Column]:
    """Scores every group by each of `--reduction`, side by side; published columns once."""
    if args.protocol:
        raise UserError("--reduction and --protocol say the same thing; give one of them")
    names = [name for part in args.reduction for name in part.split(",")]
    for name in names:
        if Path(name).exists():
            raise UserError(f"{name!r} is a source; sources go before --reduction")
    sides = [_columns(args, groups, name) for name in dict.fromkeys(names)]
    if len(sides) == 1:
        return sides[0]
    columns = []
    for several in zip(*sides):
        if several[0].published:
            columns.append(several[0])
            continue
        for name, column in zip(dict.fromkeys(names), several):
            columns.append(dataclasses.replace(column, name=f"{column.name}, {name}"))
    return columns


def run_diff(args: argparse.Namespace) -> int:
    """Compares two sources."""
    _check(args.forest)
    pair, problems = load.load_pair([args.a, args.b], *_settings(args))
    before, after = _columns(args, pair, args.protocol)
    references = games.read_references(args.references) if args.references else None
    comparison = compare.compare(before, after, args.test, args.resamples, references)
    keys, faults = configs.differences(*pair)
    problems += faults
    records = compare.records(comparison)
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
    _print(args, [compare.grid(comparison), *([keys] if keys else [])], records, content)
    if args.forest:
        from scores.forest import forest

        _draw(args.forest, lambda: forest(comparison))
    status = _finish(args, problems)
    return 1 if args.fail_if_worse and comparison.worse else status


def run_plot(args: argparse.Namespace) -> int:
    """Draws the figure of `--kind`."""
    from scores import balance_plot, figures

    kinds = ("curves", "bars", "profiles", "efficiency", "balance")
    if args.kind not in kinds:
        known = ", ".join(kinds)
        raise UserError(f"no kind {args.kind!r}; known: {known}{nearest(args.kind, kinds)}")
    out = args.out or Path(f"{args.kind}.png")
    _check(out)
    if args.kind == "balance":
        if len(args.sources) != 1:
            raise UserError(f"--kind balance draws one run folder, got {len(args.sources)} sources")
        _draw(out, lambda: balance_plot.balance(Path(args.sources[0])))
        return 0
    groups, columns, problems = _load(args, args.sources)
    draw: dict[str, Callable[[], Figure]] = {
        "curves": lambda: figures.learning_curves(groups, columns, args.frames, args.band),
        "bars": lambda: figures.bars(table.build(columns, only=_settings(args)[0])),
        "profiles": lambda: figures.profiles(columns),
        "efficiency": lambda: figures.efficiencies(groups, columns, args.frames),
    }
    _draw(out, draw[args.kind])
    return _finish(args, problems)


def run_place(args: argparse.Namespace) -> int:
    """Says where runs lie among the seeds of other curves."""
    from scores import place

    _check(args.figure)
    only, reading = _settings(args)
    groups, problems = load.load(args.sources, only, reading)
    wanted = sorted({run.game for group in groups for run in group.runs})
    others, faults = load.load([args.among], wanted or None, reading)
    if len(others) != 1:
        several = ", ".join(group.name for group in others)
        raise UserError(f"--among takes one column, {args.among} has {len(others)}: {several}")
    placements = place.place(groups, others[0])
    records = place.records(placements)
    _print(args, [place.grid(each) for each in placements], records, {"entries": records})
    _draw(args.figure, lambda: place.figure(placements))
    return _finish(args, problems + faults)


def run_report(args: argparse.Namespace) -> int:
    """Writes the page."""
    from scores.report import page

    if args.out.suffix not in (".html", ".htm"):
        raise UserError(f"the first argument is the page to write, OUT.html; got {args.out}")
    groups, columns, problems = _load(args, args.sources)
    only = _settings(args)[0]
    _write(args.out, page(groups, columns, problems, args.frames, args.band, only))
    return _finish(args, problems)


RUNS: dict[str, Callable[[argparse.Namespace], int]] = {
    "table": run_table,
    "diff": run_diff,
    "plot": run_plot,
    "place": run_place,
    "report": run_report,
}
VERBS = {
    name: Verb(arguments.summary(name), functools.partial(arguments.fill, verb=name), run)
    for name, run in RUNS.items()
}
