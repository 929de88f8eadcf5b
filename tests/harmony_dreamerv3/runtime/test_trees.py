"""Trees of members as flat arrays, and back."""

import jax.numpy as jnp
import numpy as np
import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3.runtime import trees

TREE = {"a": {"b": jnp.arange(6.0).reshape(2, 3)}, "c": (jnp.array([1, 2]),)}


def test_each_member_gets_its_part_by_name():
    first, second = trees.flat(TREE, 2)
    assert set(first) == {"a/b", "c/0"}
    np.testing.assert_array_equal(second["a/b"], [3, 4, 5])
    assert first["c/0"] == 1 and second["c/0"] == 2
    back = trees.unflat(TREE, [first, second], 2)
    np.testing.assert_array_equal(back["a"]["b"], TREE["a"]["b"])
    assert trees.member(TREE, 1)["c"][0] == 2


def test_bfloat16_travels_as_float32():
    tree = {"x": jnp.array([[1.5], [2.5]], jnp.bfloat16)}
    arrays = trees.flat(tree, 2)
    assert arrays[0]["x"].dtype == np.float32
    assert trees.unflat(tree, arrays, 2)["x"].dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a[:1], "the states of 2 learners, got 1"),
        (lambda a: [{"a/b": a[0]["a/b"]}, a[1]], "missing 'c/0'"),
        (lambda a: [a[0], {**a[1], "d": 1}], "surplus 'd'"),
        (lambda a: [a[0], {**a[1], "a/b": np.zeros(4)}], r"a/b has shape \(4,\), expected \(3,\)"),
    ],
)
def test_states_of_another_agent_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        trees.unflat(TREE, change(trees.flat(TREE, 2)), 2)
