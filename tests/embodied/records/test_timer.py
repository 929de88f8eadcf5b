"""Durations of named sections."""

import time

from embodied.records.timer import Timer


def test_sections_add_up_and_start_anew() -> None:
    timer = Timer()
    for _ in range(2):
        with timer.section("env"):
            time.sleep(0.01)
    first = timer.pop()
    assert 0.02 <= first["env"] <= first["total"] and set(first) == {"env", "total"}
    second = timer.pop()
    assert set(second) == {"total"} and second["total"] < first["total"]


def test_a_section_that_raises_counts() -> None:
    timer = Timer()
    try:
        with timer.section("env"):
            raise KeyError
    except KeyError:
        pass
    assert "env" in timer.pop()
