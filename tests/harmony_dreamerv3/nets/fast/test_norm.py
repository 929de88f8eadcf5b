"""Normalisation by hand, and its derivative against that of the plain one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.nets import fast

RNG = np.random.default_rng(0)


def test_two_numbers_by_hand():
    y = fast.normalize(jnp.array([[1.0, 5.0], [3.0, 3.0]]))
    expected = 2 / np.sqrt(4.001)  # mean 3, variance 4
    np.testing.assert_allclose(y, [[-expected, expected], [0, 0]], rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 8, 32])
def test_values_and_derivatives_are_the_plain_ones(channels):
    def both(x, dy):
        y, pull = jax.vjp(fast.normalize, x)
        return y, pull(dy)

    with jax.enable_x64(True):
        x, dy = (jnp.asarray(RNG.normal(size=(2, 5, 4, channels))) for _ in range(2))
        x = 3 + 2 * x
        expected = fast.plain(both)(x, dy)
        for actual in (both(x, dy), jax.vmap(both)(x, dy)):
            for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
