"""How tensors are compared, and what the table says."""

import numpy as np

from harmony_dreamerv3.interop import report


def test_numbers_that_are_not_finite_fail():
    for a, b in (([1.0, np.nan], [1.0, 2.0]), ([1.0, 2.0], [1.0, np.nan]), ([np.inf], [np.inf])):
        row = report.compare("x", np.array(b), {"x": np.array(a)})
        assert not row.ok and row.note


def test_tolerances():
    expected = np.array([10.0, 0.0], np.float32)
    for name, limit in (("embed", 1e-3), ("grads/x", 1e-2)):  # Of the largest, which is 10.
        assert report.compare(name, expected, {name: expected + np.float32(0.9 * limit)}).ok
        assert not report.compare(name, expected, {name: expected + np.float32(1.1 * limit)}).ok
    zeros = np.zeros(3)
    assert report.compare("x", zeros, {"x": zeros}).ok
    assert not report.compare("x", zeros, {"x": zeros + 1e-9}).ok
    assert not report.compare("x", zeros, {"x": zeros[:2]}).ok


def test_the_table_names_the_worst_first():
    rows = [
        report.Row(name, size, size, size < 1) for name, size in (("a", 0.5), ("b", 2), ("c", 3))
    ]
    assert "3 tensors compared, 2 outside tolerance; the worst: c, b" in report.show("it", rows)
    assert report.as_dict([report.Row("a", np.inf, 0.0, False)])[0]["max_abs"] is None
