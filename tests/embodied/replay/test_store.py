"""Rows of arrays in the host's memory."""

from __future__ import annotations

import numpy as np

from embodied.core.space import Space
from embodied.replay import HostStore


def test_a_stored_step_costs_its_bytes_and_no_more() -> None:
    store = HostStore({"image": Space(np.uint8, (64, 64, 3)), "reward": Space(np.float32)}, 1000)
    assert store.nbytes == 1000 * (64 * 64 * 3 + 4)


def test_rows_by_hand() -> None:
    store = HostStore({"x": Space(np.int32), "is_first": Space(bool)}, 4)
    store.write(np.array([2, 0, 3]), {"x": np.array([5, 6, 7]), "is_first": np.ones(3, bool)})
    store.write(np.array([1, 4, 3]), {"x": np.array([8, 9, 10])})  # 4 is nowhere.
    np.testing.assert_array_equal(store.read(np.arange(4), ["x"])["x"], [6, 8, 5, 10])
    index, first = np.array([[1, 1], [0, 2]]), np.array([[True, False], [False, False]])
    batch = store.gather(index, first)
    np.testing.assert_array_equal(batch["x"], [[8, 8], [6, 5]])
    np.testing.assert_array_equal(batch["is_first"], [[True, False], [True, True]])
    assert not store.read(np.array([1]))["is_first"]  # What is stored stays.
