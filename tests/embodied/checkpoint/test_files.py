"""Whole files, and arrays in them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embodied.checkpoint.files import CorruptFile, decode, encode, write_atomic

DTYPES = st.sampled_from([np.uint8, np.int64, np.uint32, np.float32, np.float64, np.bool_])


@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda name: name != "__metadata__"),
        DTYPES.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0))),
        max_size=4,
    )
)
def test_arrays_come_back_bit_by_bit(arrays: dict[str, np.ndarray]) -> None:
    arrays = {name: array.T for name, array in arrays.items()}  # Not contiguous.
    found = decode(encode(arrays), "here")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes() and found[name].flags.writeable


@given(st.binary(max_size=60))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptFile, match="here is damaged"):
        decode(data, "here")


def test_a_truncated_file_is_refused() -> None:
    data = encode({"a": np.arange(9)})
    for size in range(len(data)):
        with pytest.raises(CorruptFile):
            decode(data[:size], "here")


def test_a_failing_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def refuse(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
