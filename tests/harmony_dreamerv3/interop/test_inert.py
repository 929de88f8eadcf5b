"""What the calls of one file may make is counted."""

import codecs

import numpy as np
import pytest
from pickles import Evil, dump

from embodied.core.errors import UserError
from harmony_dreamerv3.interop import unpickle


@pytest.mark.parametrize("protocol", [2, 5])
def test_large_arrays_are_within_the_bound(tmp_path, protocol):
    values = np.random.default_rng(0).integers(0, 256, 3_000_000, np.uint8)
    value = {"a": values, "same": values, "b": values[::-1].astype(">u4")}
    found = unpickle.load(dump(tmp_path / "c", value, protocol))
    assert all(np.array_equal(found[key], value[key]) for key in value)


DATA, TEXT, ITEMS = bytes(2**18), "\xff" * 2**18, list(range(2**16))
BYTE = np.dtype("u1")


@pytest.mark.parametrize(
    "calls",
    [
        [Evil(np._core.numeric._frombuffer, DATA, BYTE, (2**18,), "C") for _ in range(64)],
        [Evil(codecs.encode, TEXT, "latin1") for _ in range(64)],
        [Evil(set, ITEMS) for _ in range(100)],
    ],
    ids=["arrays", "texts", "sets"],
)
def test_one_object_given_to_many_calls(tmp_path, calls):
    with pytest.raises(UserError, match="more than the file holds"):
        unpickle.load(dump(tmp_path / "c", calls))


def test_one_object_given_to_many_places_and_states(tmp_path):
    path = tmp_path / "c"
    begin = b"\x80\x02]coptax\nMineState\nq\x010(" + b"N" * 2**16 + b"tq\x020"
    path.write_bytes(begin + b"h\x01h\x02\x81a" * 100 + b".")
    with pytest.raises(UserError, match="more than the file holds"):
        unpickle.load(path)
    # Protocol 2 fills an array by BUILD: here the same tuple goes into many.
    names = b"cnumpy._core.multiarray\n_reconstruct\nq\x010"
    names += b"cnumpy\ndtype\nX\x02\x00\x00\x00u1\x85Rq\x020"
    size = (2**18).to_bytes(4, "little")
    state = b"(K\x01J" + size + b"\x85h\x02\x89B" + size + bytes(2**18) + b"tq\x030"
    path.write_bytes(b"\x80\x03]" + names + state + b"h\x01)Rh\x03ba" * 64 + b".")
    with pytest.raises(UserError, match="more than the file holds"):
        unpickle.load(path)
    path.write_bytes(b"\x80\x03]" + names + state + b"h\x01)Rh\x03ba" * 2 + b".")
    assert [array.size for array in unpickle.load(path)] == [2**18] * 2
