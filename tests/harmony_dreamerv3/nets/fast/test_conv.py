"""Convolutions and their derivatives against the library's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.nets import fast

RNG = np.random.default_rng(0)


def all_of(function, x, kernel, dy):
    y, pull = jax.vjp(function, x, kernel)
    return y, pull(dy)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize(
    ("size", "images", "into", "out"), [(2, 2, 5, 2), (8, 2, 5, 2), (4, 6, 9, 8), (2, 130, 8, 9)]
)
def test_values_and_derivatives_are_those_of_the_library(up, size, images, into, out):
    with jax.enable_x64(True):
        x = jnp.asarray(RNG.normal(size=(3, images, size, size, into)))
        shape, side = ((out, into), 2 * size) if up else ((into, out), size // 2)
        kernel = jnp.asarray(RNG.normal(size=(3, 4, 4, *shape)))
        dy = jnp.asarray(RNG.normal(size=(3, images, side, side, out)))
        ours = functools.partial(all_of, fast.upsample if up else fast.downsample)
        mapped = jax.vmap(ours)(x, kernel, dy)
        expected = jax.vmap(fast.plain(ours))(x, kernel, dy)
        for a, b in zip(jax.tree.leaves(mapped), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        for n in range(3):
            one = jax.tree.leaves(ours(x[n], kernel[n], dy[n]))
            for a, b in zip(one, jax.tree.leaves(expected), strict=True):
                np.testing.assert_allclose(a, b[n], rtol=1e-12, atol=1e-12)


def test_a_convolution_by_hand():
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    kernel = jnp.zeros((4, 4, 1, 1)).at[1, 1].set(1.0)  # picks the upper left of each block
    np.testing.assert_array_equal(fast.downsample(x, kernel)[0, ..., 0], [[0, 2], [8, 10]])
    # Its transpose puts each pixel where it was picked from.
    y = fast.upsample(jnp.ones((1, 2, 2, 1)), kernel[::-1, ::-1])[0, ..., 0]
    assert y.sum() == 4.0 and set(np.asarray(y).ravel()) == {0.0, 1.0}


def test_learners_side_by_side_have_no_grouped_convolution():
    x, kernel = jnp.ones((3, 2, 8, 8, 5)), jnp.ones((3, 4, 4, 5, 2))

    def count(function):
        text = jax.jit(jax.vmap(function)).lower(x, kernel).as_text()
        return text.count("feature_group_count = 3")

    assert count(fast.downsample) == 0 < count(fast.plain(fast.downsample))
