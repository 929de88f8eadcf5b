"""Tables of text: one layout, printed as plain text, Markdown, LaTeX or HTML."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MARKS: Mapping[str, str] = {
    "few-episodes": "†",
    "few-seeds": "‡",
    "biased": "§",
    "partial": "¶",
}
_LATEX = {
    **{letter: "\\" + letter for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "−": "$-$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "§": r"$^\S$",
    "¶": r"$^\P$",
    "<": "$<$",
    ">": "$>$",
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell."""

    text: str  # what is printed
    detail: str = ""  # printed after it in smaller letters, such as an interval
    bold: bool = False  # whether it is among the best
    marks: str = ""  # signs of `MARKS`, printed right after the text
    value: float | None = None  # what the cell sorts by; None: its text


@dataclasses.dataclass(frozen=True)
class Grid:
    """A table: header, blocks of rows with a rule between them, notes below."""

    title: str
    header: Sequence[str]
    blocks: Sequence[Sequence[Sequence[Cell]]]
    notes: Sequence[str] = ()


def number(value: float) -> str:
    """Prints a score as the paper does: whole from 100 on, one digit below, '–' for none.

    Below 1 it has two significant digits, so that 0.25 stays 0.25.
    """
    if not math.isfinite(value):
        return "–"
    if value == int(value) or abs(value) >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 0.995 or abs(value) < 1e-4 else f"{value:.2g}"


def _escaped(grid: Grid, escape: Callable[[str], str]) -> Grid:
    """Returns a grid whose every text went through `escape`."""

    def safe(cell: Cell) -> Cell:
        return Cell(
            escape(cell.text), escape(cell.detail), cell.bold, escape(cell.marks), cell.value
        )

    blocks = [[[safe(cell) for cell in row] for row in block] for block in grid.blocks]
    header, notes = list(map(escape, grid.header)), list(map(escape, grid.notes))
    return Grid(escape(grid.title), header, blocks, notes)


def text(grid: Grid) -> str:
    """Renders as plain text; `*` marks bold cells."""

    def plain(cell: Cell) -> str:
        body = cell.text + cell.marks + "*" * cell.bold
        return f"{body} {cell.detail}" if cell.detail else body

    blocks = [[[plain(cell) for cell in row] for row in block] for block in grid.blocks]
    columns = zip(grid.header, *(row for block in blocks for row in block))
    widths = [max(map(len, column)) for column in columns]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]
        return "  ".join(cells).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [grid.title, "", line(grid.header)]
    for block in blocks:
        lines += [rule, *map(line, block)]
    return "\n".join([*lines, "", *grid.notes]).rstrip() + "\n"


def markdown(grid: Grid) -> str:
    """Renders as a Markdown table."""
    grid = _escaped(grid, lambda raw: re.sub(r"([\\|*])", r"\\\1", raw))

    def plain(cell: Cell) -> str:
        body = cell.text + cell.marks
        body = f"**{body}**" if cell.bold and body else body
        return f"{body} {cell.detail}" if cell.detail else body

    lines = [f"**{grid.title}**", "", f"| {' | '.join(grid.header)} |"]
    lines.append("| --- |" + " ---: |" * (len(grid.header) - 1))
    lines += ["| " + " | ".join(map(plain, row)) + " |" for block in grid.blocks for row in block]
    return "\n".join([*lines, "", *(f"- {note}" for note in grid.notes)]).rstrip() + "\n"


def latex(grid: Grid) -> str:
    r"""Renders as a LaTeX tabular of the package booktabs, notes as comments."""
    comments = ["% " + line for line in [grid.title, *grid.notes]]
    grid = _escaped(grid, lambda raw: "".join(_LATEX.get(letter, letter) for letter in raw))

    def plain(cell: Cell) -> str:
        body = rf"\textbf{{{cell.text}}}" if cell.bold else cell.text
        return body + cell.marks + (rf" {{\scriptsize {cell.detail}}}" if cell.detail else "")

    lines = [rf"\begin{{tabular}}{{l{'r' * (len(grid.header) - 1)}}}", r"\toprule"]
    lines.append(" & ".join(grid.header) + r" \\")
    for block in grid.blocks:
        lines += [r"\midrule", *(" & ".join(map(plain, row)) + r" \\" for row in block)]
    return "\n".join([*comments, *lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def as_html(grid: Grid) -> str:
    """Renders as an HTML table whose first blocks' rows can be sorted by `data-value`."""
    grid = _escaped(grid, html.escape)

    def plain(cell: Cell, tag: str) -> str:
        body = f"<b>{cell.text}{cell.marks}</b>" if cell.bold else cell.text + cell.marks
        detail = f" <small>{cell.detail}</small>" if cell.detail else ""
        value = "" if cell.value is None else f' data-value="{cell.value!r}"'
        return f"<{tag}{value}>{body}{detail}</{tag}>"

    head = "".join(
        f'<th scope="col"><button type="button">{name}</button></th>' for name in grid.header
    )
    bodies = []
    for block in grid.blocks:
        # The row's name is its header, for screen readers.
        rows = (
            "<tr>" + plain(row[0], "th") + "".join(plain(cell, "td") for cell in row[1:]) + "</tr>"
            for row in block
        )
        bodies.append("<tbody>" + "\n".join(rows) + "</tbody>")
    notes = "".join(f"<li>{note}</li>" for note in grid.notes)
    return (
        f'<div class="scroll"><table class="sortable"><caption>{grid.title}</caption>'
        f"<thead><tr>{head}</tr></thead>\n{''.join(bodies)}</table></div>"
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def as_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Renders records, all with the same keys, as CSV with a header; lists joined by spaces."""

    def flat(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return ""
        return " ".join(map(str, value)) if isinstance(value, list | tuple) else value

    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: flat(value) for key, value in each.items()} for each in records)
    return out.getvalue()


def as_json(content: Any) -> str:
    """Renders nested dicts and lists as strict JSON: NaN becomes null."""

    def clean(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): clean(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [clean(entry) for entry in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(clean(content), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


RENDERERS = {"text": text, "md": markdown, "latex": latex}
