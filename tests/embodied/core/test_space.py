"""Spaces: what they contain, how they say what is wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embodied.core.errors import UserError
from embodied.core.space import Space

SPACES = [
    Space(np.uint8, (4, 4, 3), 0, 255),
    Space(np.uint8, (2,), 3, 7),
    Space(np.float32, (5,)),
    Space(np.float32, (), -1, 1),
    Space(np.float32, (3,), 0, 1, discrete=True),
    Space(np.float32, (2,), 2.5, None),
    Space(bool),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
@given(seed=st.integers(0, 2**32 - 1))
def test_samples_are_contained(space, seed):
    value = space.sample(np.random.default_rng(seed))
    space.check("key", value)


@pytest.mark.parametrize(
    ("space", "value", "words"),
    [
        (Space(np.float32, (2,)), np.zeros(2), r"got float64 \(2,\)"),
        (Space(np.float32, (2,)), np.zeros(3, np.float32), r"got float32 \(3,\)"),
        (Space(np.float32), np.float32(np.nan), "got the value nan"),
        (Space(np.float32, (2, 2)), np.float32([[0, 0], [np.inf, 0]]), r"inf at \(1, 0\)"),
        (Space(np.float32, (2,), -1, 1), np.float32([0, -1.5]), r"-1.5 at \(1,\)"),
        (Space(np.float32, (1,), 0), np.float32([-1]), r"in \[0, inf\], got the value -1"),
        (Space(np.uint8, (1,), 3, 7), np.uint8([8]), r"8 at \(0,\)"),
        (Space(np.float32, (2,), 0, 1, True), np.float32([0.5, 0.5]), "not one-hot"),
        (Space(np.float32, (2,), 0, 1, True), np.float32([1, 1]), "not one-hot"),
        (Space(np.float32, (2,), 0, 1, True), np.float32([0, 0]), "not one-hot"),
        (Space(bool), np.zeros((), np.uint8), r"expected bool \(\)"),
    ],
)
def test_names_what_is_wrong(space, value, words):
    with pytest.raises(UserError, match=f"'key' is outside its space.*{words}"):
        space.check("key", value)


def test_float32_bounds_that_are_no_float64_numbers():
    # float32(0.1) is a little above 0.1: it must still be within [0, 0.1].
    Space(np.float32, (1,), 0, 0.1).check("key", np.float32([0.1]))


def test_mistaken_spaces():
    with pytest.raises(ValueError, match="low 2 is above high 1"):
        Space(np.float32, (), 2, 1)
    with pytest.raises(ValueError, match="discrete space is float32"):
        Space(np.int64, (3,), discrete=True)


def test_equality_and_hash():
    assert Space("uint8", [2, 3]) == Space(np.uint8, (2, 3))
    assert len({Space("uint8", (2, 3)), Space(np.uint8, (2, 3))}) == 1
    assert Space(np.uint8, (2,)) != Space(np.float32, (2,))
