"""Points of a run."""

import numpy as np
import pytest

from scores.records import EMPTY, MAX_VALUE, UNKNOWN, Run, evaluations, printable, series


def test_a_series_is_sorted_and_holds_numbers_alone():
    points, told = series([3, 1, 2, "x", 4, 5], [30, 10, float("nan"), 1, 10**400, "7"])
    assert points.frames.tolist() == [1, 3]
    assert points.scores.tolist() == [10, 30]
    assert told == "4 of 6 points are NaN, missing or absurd, left out; steps go backwards, sorted"
    assert series([1, 2], [3, 4])[1] is None
    assert not len(series([1, 2], [MAX_VALUE * 2, -MAX_VALUE * 2])[0])
    with pytest.raises(ValueError, match="1 steps but 2 scores"):
        series([1], [1, 2])


def test_a_part_of_a_series_is_open_on_the_left():
    points, _ = series([1, 2, 3], [10, 20, 30], [1, 2, 3])
    assert points.upto(2).scores.tolist() == [10, 20]
    assert points.upto(3, after=1).episodes.tolist() == [2, 3]


def test_episodes_of_one_evaluation_are_joined():
    points, _ = series([4, 4, 8], [1, 3, 5], [1, 1, 1])
    joined = evaluations(points)
    assert joined.scores.tolist() == [2, 5]
    assert joined.episodes.tolist() == [2, 1]
    points, _ = series([4, 4], [1, 3], [1, UNKNOWN])
    assert evaluations(points).episodes.tolist() == [UNKNOWN]
    assert evaluations(EMPTY) is EMPTY


def test_the_curve_of_a_run_is_that_of_its_evaluations():
    evals, trains = series([4], [1])[0], series([4, 9], [1, 2])[0]
    assert Run("m", "g", 0, "p", evals, trains).reach == 4
    assert Run("m", "g", 0, "p", EMPTY, trains).reach == 9
    assert Run("m", "g", 0, "p", evals, final=True).reach == 0
    assert Run("m", "g", 0, "p").reach == 0


def test_text_of_any_file_is_printable():
    assert printable("a\x1b[31m\n") == "a?[31m?"
    assert len(printable("x" * 10_000)) == 500
    assert np.all([letter.isprintable() for letter in printable("\u202e")])
