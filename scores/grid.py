"""Tables of text: one layout, printed as plain text, Markdown, LaTeX or HTML."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
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
    """One cell.

    Attributes:
      text: what is printed.
      detail: printed after it in smaller letters, such as an interval.
      bold: whether it is among the best.
      flags: keys of `MARKS`.
      value: what the cell sorts by; None: its text.
    """

    text: str
    detail: str = ""
    bold: bool = False
    flags: Sequence[str] = ()
    value: float | None = None

    @property
    def marks(self) -> str:
        return "".join(MARKS[flag] for flag in self.flags)


@dataclasses.dataclass(frozen=True)
class Grid:
    """A table: header, blocks of rows with a rule between them, notes below."""

    title: str
    header: Sequence[str]
    blocks: Sequence[Sequence[Sequence[Cell]]]
    notes: Sequence[str] = ()


def number(value: float, signed: bool = False) -> str:
    """Prints a score as the paper does: whole from 100 on, one digit below, '–' for none."""
    if not math.isfinite(value):
        return "–"
    digits = 0 if abs(value) >= 99.95 or value == int(value) else 1
    return f"{value:{'+' if signed else ''}.{digits}f}"


def text(grid: Grid) -> str:
    """Renders as plain text; `*` marks bold cells."""

    def plain(cell: Cell) -> str:
        shown = cell.text + cell.marks + ("*" if cell.bold else "")
        return f"{shown} {cell.detail}" if cell.detail else shown

    blocks = [[[plain(cell) for cell in row] for row in block] for block in grid.blocks]
    rows = [list(grid.header)] + [row for block in blocks for row in block]
    widths = [max(len(row[index]) for row in rows) for index in range(len(grid.header))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        return "  ".join(cells).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [grid.title, "", line(grid.header)]
    for block in blocks:
        lines += [rule, *map(line, block)]
    return "\n".join([*lines, "", *grid.notes]).rstrip() + "\n"


def markdown(grid: Grid) -> str:
    """Renders as a Markdown table."""

    def escape(string: str) -> str:
        return string.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*")

    def plain(cell: Cell) -> str:
        shown = escape(cell.text + cell.marks)
        shown = f"**{shown}**" if cell.bold and shown else shown
        return f"{shown} {escape(cell.detail)}" if cell.detail else shown

    lines = [f"**{escape(grid.title)}**", ""]
    lines.append("| " + " | ".join(escape(name) for name in grid.header) + " |")
    lines.append("| --- |" + " ---: |" * (len(grid.header) - 1))
    lines += ["| " + " | ".join(map(plain, row)) + " |" for block in grid.blocks for row in block]
    return "\n".join([*lines, "", *(f"- {escape(note)}" for note in grid.notes)]).rstrip() + "\n"


def latex(grid: Grid) -> str:
    r"""Renders as a LaTeX tabular of the package booktabs, notes as comments."""

    def escape(string: str) -> str:
        return "".join(_LATEX.get(letter, letter) for letter in string)

    def plain(cell: Cell) -> str:
        shown = rf"\textbf{{{escape(cell.text)}}}" if cell.bold else escape(cell.text)
        detail = rf" {{\scriptsize {escape(cell.detail)}}}" if cell.detail else ""
        return shown + escape(cell.marks) + detail

    lines = ["% " + line for line in [grid.title, *grid.notes]]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(grid.header) - 1)}}}", r"\toprule"]
    lines.append(" & ".join(escape(name) for name in grid.header) + r" \\")
    for block in grid.blocks:
        lines += [r"\midrule", *(" & ".join(map(plain, row)) + r" \\" for row in block)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def as_html(grid: Grid) -> str:
    """Renders as an HTML table whose first blocks' rows can be sorted by `data-value`."""

    def plain(cell: Cell, tag: str) -> str:
        shown = html.escape(cell.text + cell.marks)
        shown = f"<b>{shown}</b>" if cell.bold else shown
        detail = f" <small>{html.escape(cell.detail)}</small>" if cell.detail else ""
        value = "" if cell.value is None else f' data-value="{cell.value!r}"'
        return f"<{tag}{value}>{shown}{detail}</{tag}>"

    head = "".join(
        f'<th scope="col"><button type="button">{html.escape(name)}</button></th>'
        for name in grid.header
    )
    bodies = []
    for block in grid.blocks:
        # The row's name is its header, for screen readers.
        rows = (
            "<tr>" + plain(row[0], "th") + "".join(plain(cell, "td") for cell in row[1:]) + "</tr>"
            for row in block
        )
        bodies.append("<tbody>" + "\n".join(rows) + "</tbody>")
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in grid.notes)
    return (
        f'<div class="scroll"><table class="sortable"><caption>{html.escape(grid.title)}</caption>'
        f"<thead><tr>{head}</tr></thead>\n{''.join(bodies)}</table></div>"
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def as_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Renders records, all with the same keys, as CSV with a header; lists joined by spaces."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({key: _flat(value) for key, value in record.items()})
    return out.getvalue()


def _flat(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value


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
