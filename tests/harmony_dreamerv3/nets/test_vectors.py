"""Vector observations by hand: one-hot, symlog, missing values, losses."""

import jax.numpy as jnp
import numpy as np
import pytest

from embodied.core.space import Space
from harmony_dreamerv3.nets.vectors import classes, vector_loss, vectorise

TOKEN = Space(np.int32, (2,), high=2)


@pytest.mark.parametrize(
    ("space", "count"),
    [(Space(bool), 2), (Space(np.uint8), 256), (TOKEN, 3), (Space(np.float32, (4,)), 0)],
)
def test_number_of_classes(space, count):
    assert classes(space) == count


def test_discrete_values_are_one_hot_and_all_zero_where_one_is_missing():
    out = vectorise(jnp.array([[[0, 2], [1, -1]]], jnp.int32), TOKEN, True)
    np.testing.assert_array_equal(out, [[[1, 0, 0, 0, 0, 1], [0] * 6]])


def test_continuous_values_are_squashed_and_all_zero_where_one_is_missing():
    space = Space(np.float32, (2,))
    value = jnp.array([[np.e - 1, 1 - np.e], [5.0, -np.inf]], jnp.float32)
    np.testing.assert_allclose(vectorise(value, space, True), [[1, -1], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(vectorise(value, space, False)[0], value[0])


def test_losses():
    out, target = jnp.array([[1.0, 2.0]]), jnp.array([[np.e - 1, 0.0]], jnp.float32)
    np.testing.assert_allclose(vector_loss(out, target, Space(np.float32, (2,))), [4], rtol=1e-6)
    logits = jnp.log(jnp.array([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]]))
    # Of a missing target no cross-entropy is taken.
    for token, nll in (([0, 2], -np.log(0.5 * 0.8)), ([0, -1], -np.log(0.5))):
        loss = vector_loss(logits, jnp.array([token], jnp.int32), TOKEN)
        np.testing.assert_allclose(loss, [nll], rtol=1e-6)
