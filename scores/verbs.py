"""The verbs `table`, `diff`, `plot`, `place` and `report` of the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from embodied.core.errors import UserError, nearest
from scores import arguments, compare, configs, export, games, grid, load, protocol, table

Loaded = tuple[list[load.Group], list[protocol.Column], list[load.Problem]]


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the verbs; each sets `run`, a function from its arguments to the exit status."""
    parsers = arguments.add_parsers(subparsers)
    for name, run in VERBS.items():
        parsers[name].set_defaults(run=run)


def _only(args: argparse.Namespace) -> list[str] | None:
    return [games.normalise(name) for name in args.games] if args.games else None


def _load(args: argparse.Namespace, sources: Sequence[str]) -> Loaded:
    groups, problems = load.load(sources, _only(args))
    known = {*games.atari100k(), *(run.game for group in groups for run in group.runs)}
    for name in _only(args) or []:
        if name not in known:
            raise UserError(f"no source has the game {name!r}{nearest(name, known)}")
    return groups, protocol.columns(groups, args.protocol, args.frames), problems


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


def run_table(args: argparse.Namespace) -> int:
    """Prints the table, or exports the sources in another format."""
    groups, columns, problems = _load(args, args.sources or ["paper:all"])
    if args.format in export.FORMATS:
        data, lost = export.FORMATS[args.format](groups)
        _write(args.out or Path(export.NAMES[args.format]), data)
        return _finish(args, problems + lost)
    made = table.build(columns, args.resamples, _only(args))
    if args.format == "csv":
        content = grid.as_csv(table.records(made))
    elif args.format == "json":
        content = grid.as_json(
            {
                "entries": table.records(made),
                "notes": list(made.notes),
                "problems": [str(problem) for problem in problems],
                "published": games.source(),
            }
        )
    else:
        content = grid.RENDERERS[args.format](table.grid(made, not args.no_intervals))
    _write(args.out, content)
    return _finish(args, problems)


def run_diff(args: argparse.Namespace) -> int:
    """Compares two sources."""
    from scores.style import check  # Lazy, with what it leads to.

    if args.forest:
        check(args.forest)
    pairs, problems = load.load_pair([args.a, args.b], _only(args))
    before, after = protocol.columns(pairs, args.protocol, args.frames)
    found = compare.compare(before, after, args.test, args.resamples)
    keys, faults = configs.differences(*pairs)
    problems += faults
    grids = [compare.grid(found)] + ([keys] if keys else [])
    if args.format == "csv":
        content = grid.as_csv(compare.records(found))
    elif args.format == "json":
        content = grid.as_json(
            {
                "a": found.a,
                "b": found.b,
                "verdict": found.verdict,
                "worse": found.worse,
                "entries": compare.records(found),
                "config": configs.records(keys) if keys else None,
                "notes": list(found.notes),
                "problems": [str(problem) for problem in problems],
            }
        )
    else:
        content = "\n".join(grid.RENDERERS[args.format](each) for each in grids)
    _write(args.out, content)
    if args.forest:
        from scores.forest import forest
        from scores.style import save

        save(forest(found), args.forest)
        print(f"wrote {args.forest}", file=sys.stderr)
    status = _finish(args, problems)
    return 1 if args.fail_if_worse and found.worse else status


Kind = Callable[[argparse.Namespace], int]


def _kind(name: str) -> Kind:
    def run(args: argparse.Namespace) -> int:
        from scores import figures
        from scores.style import check, save

        out = args.out or Path(f"{name}.png")
        check(out)
        groups, columns, problems = _load(args, args.sources)
        if name == "curves":
            figure = figures.learning_curves(groups, columns, args.frames, args.band)
        elif name == "bars":
            figure = figures.bars(table.build(columns, only=_only(args)))
        elif name == "profiles":
            figure = figures.profiles(columns)
        else:
            figure = figures.efficiencies(groups, columns, args.frames)
        save(figure, out)
        print(f"wrote {out}", file=sys.stderr)
        return _finish(args, problems)

    return run


def _balance(args: argparse.Namespace) -> int:
    from scores import balance_plot
    from scores.style import check, save

    out = args.out or Path("balance.png")
    check(out)
    if len(args.sources) != 1:
        raise UserError(f"--kind balance draws one run folder, got {len(args.sources)} sources")
    save(balance_plot.balance(Path(args.sources[0])), out)
    print(f"wrote {out}", file=sys.stderr)
    return 0


# What `plot --kind` knows.
KINDS: dict[str, Kind] = {
    **{name: _kind(name) for name in ("curves", "bars", "profiles", "efficiency")},
    "balance": _balance,
}


def run_plot(args: argparse.Namespace) -> int:
    """Draws the figure of `--kind`."""
    if args.kind not in KINDS:
        known = ", ".join(KINDS)
        raise UserError(f"no kind {args.kind!r}; known: {known}{nearest(args.kind, KINDS)}")
    return KINDS[args.kind](args)


def run_place(args: argparse.Namespace) -> int:
    """Says where runs lie among the seeds of other curves."""
    from scores import place
    from scores.style import check, save

    if args.figure:
        check(args.figure)
    groups, problems = load.load(args.sources, _only(args))
    wanted = sorted({run.game for group in groups for run in group.runs})
    others, faults = load.load([args.among], wanted or None)
    if len(others) != 1:
        names = ", ".join(group.name for group in others)
        raise UserError(f"--among takes one column, {args.among} has {len(others)}: {names}")
    placed = place.place(groups, others[0])
    if args.format == "csv":
        content = grid.as_csv(place.records(placed))
    elif args.format == "json":
        content = grid.as_json({"entries": place.records(placed)})
    else:
        render = grid.RENDERERS[args.format]
        content = "\n".join(render(place.grid(each)) for each in placed)
    _write(args.out, content)
    if args.figure:
        save(place.figure(placed), args.figure)
        print(f"wrote {args.figure}", file=sys.stderr)
    return _finish(args, problems + faults)


def run_report(args: argparse.Namespace) -> int:
    """Writes the page."""
    from scores.report import page

    if args.out.suffix not in (".html", ".htm"):
        raise UserError(f"the first argument is the page to write, OUT.html; got {args.out}")
    groups, columns, problems = _load(args, args.sources)
    _write(args.out, page(groups, columns, problems, args.frames, args.band, _only(args)))
    return _finish(args, problems)


VERBS: dict[str, Kind] = {
    "table": run_table,
    "diff": run_diff,
    "plot": run_plot,
    "place": run_place,
    "report": run_report,
}
