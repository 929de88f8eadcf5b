"""Running means."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embodied.records.metrics import Means


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(0, 40), st.booleans())
def test_means_do_not_depend_on_how_rows_are_spread(
    values: list[float], cut: int, saved: bool
) -> None:
    rows = np.array(values)[:, None]
    whole, pieces = Means(), Means()
    whole.add(["x"], rows)
    pieces.add(["x"], rows[:cut])
    if saved:
        text = json.dumps(pieces.save())
        pieces = Means()
        pieces.load(json.loads(text))
    pieces.add(["x"], rows[cut:])
    assert whole.pop() == pieces.pop()


def test_means_by_hand() -> None:
    means = Means()
    means.add(["b", "a"], np.array([[1.0, 10.0], [3.0, 20.0]]))
    means.add(["c"], np.array([[7.0]]))
    means.add(["a"], np.array([[60.0]]))
    assert list(means.pop().items()) == [("a", 30.0), ("b", 2.0), ("c", 7.0)]
    assert means.pop() == {}
