"""Pickles are read without executing anything in them."""

import collections
import os
import pickle
import re
from typing import NamedTuple

import numpy as np
import optax
import pytest
from pickles import Evil, dump

from embodied.core.errors import UserError
from harmony_dreamerv3.interop import unpickle


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("modern", [True, False])
def test_arrays_of_all_protocols_and_versions(tmp_path, protocol, modern):
    value = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "flag": np.array(True),
        "empty": np.zeros((0, 3), np.float16),
        "scalar": np.float32(2.5),
        "plain": [1, 2.5, "x", None, (True, b"12"), {1, 2}, collections.OrderedDict(k=3)],
    }
    found = unpickle.load(dump(tmp_path / "c.pkl", value, protocol, modern))
    for key in ("a", "f", "big", "flag", "empty", "scalar"):
        np.testing.assert_array_equal(found[key], value[key])
        assert found[key].dtype == np.asarray(value[key]).dtype.newbyteorder("=")
    assert found["plain"] == [1, 2.5, "x", None, (True, b"12"), {1, 2}, {"k": 3}]


class Fake(NamedTuple):
    count: int


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Evil(os.system, "touch {}"), "posix.system"),
        (Evil(eval, "open({!r}, 'w')"), r"builtins?(__)?\.eval"),
        (Evil(np.fromfile, "x"), "numpy"),
        (Fake(3), "Fake"),
        (np.random.default_rng(0), "numpy.random"),
        (re.compile("x"), "re._compile"),
        (np.array([object()], object), "dtype 'O8'|builtins.object"),
        (np.array(["text"]), "dtype 'U4'"),
        (collections.defaultdict(list), "collections.defaultdict"),
        (optax.adam, "optax.*adam"),
    ],
)
def test_everything_else_is_refused_by_name(tmp_path, value, name):
    touched = tmp_path / "touched"
    if isinstance(value, Evil):
        value.args = tuple(arg.format(str(touched)) for arg in value.args)
    for protocol in (2, 4, 5):
        with pytest.raises(UserError, match=name):
            unpickle.load(dump(tmp_path / "c", {"agent": value}, protocol))
    assert not touched.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04]\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # Bytes of 2^63.
        b"\x80\x04}r\xff\xff\xff\x7f.",  # An object numbered 2^31.
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x00N.",  # A frame beyond the file.
        b"\x80\x02I" + b"9" * 10000 + b"\n.",  # A number as text.
        b"\x80\x02cnumpy\ndtype\n}X\x01\x00\x00\x00aK\x01sb.",  # Sets what it refers to.
        b"\x80\x02coptax\nEmptyState\n}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02coptax\nEmptyState\n)\x81}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R.",  # An array without contents.
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)RK\x05b.",
        b"\x80\x02P1\n.",  # A persistent name.
        b"\x80\x02cnum\\py\ndtype\n.",  # A name with an invalid escape.
    ],
)
def test_hostile_bytes(tmp_path, data):
    path = tmp_path / "c"
    path.write_bytes(data)
    with pytest.raises(UserError):
        unpickle.load(path)


def test_a_shape_must_be_filled_by_the_bytes(tmp_path):
    array = np.arange(6, dtype=np.float32)
    data = pickle.dumps(array, 2)
    assert data.count(b"K\x06") == 1
    path = tmp_path / "c"
    path.write_bytes(data.replace(b"K\x06", b"K\x07"))
    with pytest.raises(UserError, match=r"claims the shape .7,. of float32, but has 24 bytes"):
        unpickle.load(path)


def test_cycles_end(tmp_path):
    loop: list = [1]
    loop.append(loop)
    assert unpickle.load(dump(tmp_path / "c", {"loop": loop}))["loop"][0] == 1
    deep: list = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(UserError, match="nested"):
        unpickle.load(dump(tmp_path / "c", deep))
