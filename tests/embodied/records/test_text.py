"""Columns and durations."""

from embodied.records.text import columns, duration


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [["name", "n"], ["a", "12"], ["longer", ""]]
    assert columns(rows) == ["name    n", "a       12", "longer"]
    assert columns(rows, right={1}) == ["name     n", "a       12", "longer"]


def test_durations() -> None:
    assert duration(None) == "-" and duration(249) == "4m 09s" and duration(0.9) == "0m 00s"
    assert duration(3600 * 3 + 420) == "3h 07m"
    assert duration(86400 * 2 + 3600 * 3) == "2d 03h"
