"""The report: tables and figures in one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Callable, Sequence
from html import escape
from importlib import resources
from typing import TYPE_CHECKING

from embodied.core.errors import UserError
from scores import compare, configs, figures, forest, games, grid, table
from scores.load import Group
from scores.protocol import PROTOCOLS, REDUCTIONS, Column
from scores.records import Problem
from scores.style import write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Nothing from elsewhere: the page works from a mail attachment and loads nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(
    groups: Sequence[Group],
    columns: Sequence[Column],
    problems: Sequence[Problem],
    frames: float | None = None,
    band: str = "sd",
    only: Sequence[str] | None = None,
) -> str:
    """Makes the page: table, aggregates, curves, comparisons, faults of the files.

    Args:
      groups, columns: the same methods, in the same order.
      problems: what was wrong with the files.
      frames, band: see `figures.learning_curves`.
      only: the games of the table, None for all.
    """
    scores = table.build(columns, only=only)
    efficiency = "Sample efficiency: interquartile mean over training"
    aggregates = [
        _figure("Human-normalised aggregates with 95% intervals", lambda: figures.bars(scores)),
        '<div class="pair">',
        _figure("Performance profiles", lambda: figures.profiles(columns)),
        _figure(efficiency, lambda: figures.efficiencies(groups, columns, frames)),
        "</div>",
    ]
    curves = _figure(
        "Learning curves of every game",
        lambda: figures.learning_curves(groups, columns, frames, band),
    )
    sections = [
        _section("scores", "Scores of each game", grid.as_html(table.grid(scores))),
        _section("aggregates", "Aggregates", *(aggregates if scores.rated else [])),
        _section("curves", "Learning curves", curves),
        *_comparisons(groups, columns),
        _section("methods", "How to read this", _list(_methods(columns))),
        _section("files", "Files", _list(problems) or "<p>Every file was read without fault.</p>"),
    ]
    content = {
        "policy": POLICY,
        "title": escape(f"Scores: {', '.join(column.name for column in columns)}"),
        "summary": escape(_summary(columns)),
        "sections": "\n".join(section for section in sections if section),
    }
    text = (resources.files(__package__) / "data" / "page.html").read_text("utf-8")
    for key, value in content.items():
        text = text.replace(f"<!--{key}-->", value)
    return text


def _summary(columns: Sequence[Column]) -> str:
    sources = [column for column in columns if not column.published]
    runs = sum(len(column.of(game)) for column in sources for game in column.games)
    return (
        f"{', '.join(column.name for column in columns)}. {runs} scored runs, "
        f"columns of published means: {len(columns) - len(sources)}."
    )


def _section(name: str, heading: str, *content: str) -> str:
    body = "\n".join(part for part in content if part)
    return f'<section id="{name}"><h2>{escape(heading)}</h2>{body}</section>' if body else ""


def _list(lines: Sequence[object]) -> str:
    items = "".join(f"<li>{escape(str(line))}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _figure(caption: str, draw: Callable[[], Figure]) -> str:
    """Draws a figure into the page, or says why there is none."""
    try:
        figure = draw()
    except UserError as error:
        return f"<p>{escape(f'{caption}: {error}')}.</p>"
    data = io.BytesIO()
    write(figure, data, ".svg")
    source = "data:image/svg+xml;base64," + base64.b64encode(data.getvalue()).decode()
    label = escape(caption)
    return f'<figure><img alt="{label}" src="{source}"><figcaption>{label}</figcaption></figure>'


def _comparisons(groups: Sequence[Group], columns: Sequence[Column]) -> list[str]:
    """Compares every measured column with the first one."""
    pairs = [pair for pair in zip(groups, columns) if pair[0].runs]
    sections = []
    for number, (group, column) in enumerate(pairs[1:]):
        baseline, first = pairs[0]
        heading = f"{column.name} against {first.name}"
        try:
            comparison = compare.compare(first, column)
        except UserError as error:
            sections.append(_section(f"diff-{number}", heading, f"<p>{escape(str(error))}</p>"))
            continue
        keys, _ = configs.differences(baseline, group)
        drawing = _figure(heading, functools.partial(forest.forest, comparison))
        text = grid.as_html(compare.grid(comparison)), drawing, grid.as_html(keys) if keys else ""
        sections.append(_section(f"diff-{number}", heading, *text))
    return sections


def _methods(columns: Sequence[Column]) -> list[str]:
    protocols = [column.protocol for column in columns]
    names = [name for name in REDUCTIONS if name in PROTOCOLS or name in protocols]
    lines = [f"{name}: {REDUCTIONS[name]}." for name in names]
    lines += [
        "All steps are environment frames. Human-normalised: (score − random)/(human − random).",
        "IQM: mean of the middle half of all runs of all games. Optimality gap: how far runs fall "
        "short of human level. Intervals: 95%, percentile bootstrap stratified by game.",
    ]
    if any(column.published for column in columns):
        lines.append(f"Published columns: {games.source()}.")
    return lines
