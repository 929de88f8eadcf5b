"""Printing: escapes, marks, strict JSON."""

import csv
import io
import json
import math

from scores import grid
from scores.grid import Cell, Grid

GRID = Grid(
    "100% _sure_",
    ["Game", "a|b & <i>c</i>"],
    [
        [[Cell("Qbert"), Cell("12", "[1, 20]", True, "‡", 12.0)]],
        [[Cell("Up_N"), Cell("–", value=math.nan)]],
    ],
    ["a note with 5% & #1"],
)


def test_text_aligns_its_columns():
    lines = grid.text(GRID).splitlines()
    assert lines[0] == "100% _sure_"
    assert lines[4] == "Qbert    12‡* [1, 20]"
    assert lines[6] == "Up_N                –"
    assert len({len(line) for line in lines[2:7]}) == 1


def test_markdown_escapes_bars():
    lines = grid.markdown(GRID).splitlines()
    assert lines[2] == "| Game | a\\|b & <i>c</i> |"
    assert lines[4] == "| Qbert | **12‡** [1, 20] |"


def test_latex_escapes_and_balances():
    lines = grid.latex(GRID).splitlines()
    assert r"Game & a|b \& $<$i$>$c$<$/i$>$ \\" in lines
    assert r"Qbert & \textbf{12}$^\ddagger$ {\scriptsize [1, 20]} \\" in lines
    assert r"Up\_N & -- \\" in lines
    body = "\n".join(line for line in lines if not line.startswith("%"))
    assert body.count("{") == body.count("}")


def test_html_escapes_and_carries_values():
    text = grid.as_html(GRID)
    assert "<i>c" not in text
    assert "&lt;i&gt;c" in text
    assert '<td data-value="12.0"><b>12‡</b> <small>[1, 20]</small></td>' in text
    assert 'data-value="nan"' in text


def test_numbers_as_the_paper_prints_them():
    values = (7754.4, 100, 99.96, 99.94, -20.96, 13, 0.0, math.nan, math.inf)
    assert [grid.number(value) for value in values] == [
        "7754", "100", "100", "99.9", "-21.0", "13", "0", "–", "–",
    ]  # fmt: skip
    small = (0.25, -0.25, 0.5, 0.996, 0.123, 0.004, 1.25)
    assert [grid.number(value) for value in small] == [
        "0.25", "-0.25", "0.5", "1.0", "0.12", "0.004", "1.2",
    ]  # fmt: skip


def test_csv_and_json_have_no_nan():
    records = [{"a": math.nan, "b": ["x", "y"], "c": None}, {"a": 1.5, "b": [], "c": "q,r"}]
    rows = list(csv.DictReader(io.StringIO(grid.as_csv(records))))
    assert rows == [{"a": "", "b": "x y", "c": ""}, {"a": "1.5", "b": "", "c": "q,r"}]
    assert json.loads(grid.as_json({"r": records}))["r"][0] == {
        "a": None,
        "b": ["x", "y"],
        "c": None,
    }
    assert grid.as_csv([]) == "\n"
