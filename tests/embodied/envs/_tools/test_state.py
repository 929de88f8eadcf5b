"""States as bytes: exact, and nothing but data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embodied.core.errors import UserError
from embodied.envs._tools import state as states

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | hnp.arrays(st.sampled_from([np.uint8, np.int64, np.float32, np.float64, bool]), (2, 3))
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(), inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=8,
)


def same(one, two):
    assert type(one) is type(two)
    if isinstance(one, np.ndarray):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)
    elif isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            same(one[key], two[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(two)
        for a, b in zip(one, two):
            same(a, b)
    else:
        assert one == two


@given(TREES)
def test_round_trip(tree):
    same(tree, states.unpack(states.pack(tree)))


def test_transposed_arrays_keep_their_values():
    array = np.arange(6).reshape(2, 3).T
    np.testing.assert_array_equal(states.unpack(states.pack(array)), array)


def test_generators_continue():
    rng = np.random.default_rng(3)
    rng.standard_normal(5)
    data = states.pack({"rng": rng})
    expected = rng.standard_normal(4)
    other = np.random.default_rng(0)
    states.set_rng(other, states.unpack(data)["rng"])
    np.testing.assert_array_equal(other.standard_normal(4), expected)
    with pytest.raises(UserError, match="random state"):
        states.set_rng(other, {"bit_generator": "MT19937"})


@pytest.mark.parametrize("value", [object(), {1: 2}, np.array([object()]), {"f": len}])
def test_nothing_but_data(value):
    with pytest.raises(TypeError, match="cannot save"):
        states.pack(value)


@given(st.binary(max_size=300))
def test_garbage_is_refused(data):
    with pytest.raises(UserError, match="damaged"):
        states.unpack(data)


@given(st.data())
def test_cut_or_flipped_bytes_never_raise_anything_else(data):
    good = states.pack({"a": np.arange(4), "b": [1, 2.5, (None, True)], "c": b"xyz"})
    place = data.draw(st.integers(0, len(good) - 1))
    flipped = bytearray(good)
    flipped[place] ^= data.draw(st.integers(1, 255))
    for broken in (good[:place], bytes(flipped)):
        try:
            states.expect(states.unpack(broken), {"a", "b", "c"}, "test")
        except UserError:
            continue
