"""Convolutions against loops, and their derivatives against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from harmony_dreamerv3.nets.strided import conv, size_after, spread

# (height, kernel, stride, pad): the encoder's, one that leaves a row over, the residual ones.
SHAPES = [(64, 4, 2, 0), (31, 4, 2, 0), (8, 3, 2, 1), (6, 3, 1, 1), (5, 1, 1, 0), (7, 5, 2, 0)]


def draw(*shape: int) -> jnp.ndarray:
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape), jnp.float32)


def plain_conv(x, kernel, stride, pad):
    dims = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), ((pad, pad),) * 2, dimension_numbers=dims
    )


def looped(x: np.ndarray, kernel: np.ndarray, stride: int, pad: int) -> np.ndarray:
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    size = (x.shape[1] - kernel.shape[0]) // stride + 1
    out = np.zeros((len(x), size, size, kernel.shape[-1]))
    for row in range(size):
        for column in range(size):
            window = x[:, row * stride :, column * stride :][:, : len(kernel), : len(kernel)]
            out[:, row, column] = np.einsum("nhwi,hwio->no", window, kernel)
    return out


@pytest.mark.parametrize("shape", SHAPES)
def test_conv_is_the_sum_over_windows(shape):
    height, size, stride, pad = shape
    x, kernel = draw(2, height, height, 3), draw(size, size, 3, 2)
    y = conv(x, kernel, stride, pad)
    assert y.shape[1] == size_after(height, size, stride, pad)
    expected = looped(np.asarray(x, np.float64), np.asarray(kernel, np.float64), stride, pad)
    np.testing.assert_allclose(y, expected, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_spread_is_the_adjoint(shape):
    """<conv(x), y> = <x, spread(y)> for all x and y."""
    height, size, stride, pad = shape
    x, kernel = draw(2, height, height, 3), draw(size, size, 3, 2)
    y = draw(*conv(x, kernel, stride, pad).shape)
    back = spread(y, kernel, height, stride, pad)
    assert back.shape == x.shape
    left = (conv(x, kernel, stride, pad) * y).sum()
    np.testing.assert_allclose(left, (x * back).sum(), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives_are_those_of_the_library(shape):
    height, size, stride, pad = shape
    x, kernel = draw(2, height, height, 3), draw(size, size, 3, 2)
    y = draw(*conv(x, kernel, stride, pad).shape)

    def ours(x, kernel):
        return (conv(x, kernel, stride, pad) * y).sum()

    def theirs(x, kernel):
        return (plain_conv(x, kernel, stride, pad) * y).sum()

    for a, b in zip(jax.grad(ours, (0, 1))(x, kernel), jax.grad(theirs, (0, 1))(x, kernel)):
        np.testing.assert_allclose(a, b, atol=2e-3)

    def spread_ours(y, kernel):
        return jnp.sin(spread(y, kernel, height, stride, pad)).sum()

    def spread_theirs(y, kernel):
        zero = jnp.zeros_like(x)
        _, pull = jax.vjp(lambda x: plain_conv(x, kernel, stride, pad), zero)
        return jnp.sin(pull(y)[0]).sum()

    for a, b in zip(
        jax.grad(spread_ours, (0, 1))(y, kernel), jax.grad(spread_theirs, (0, 1))(y, kernel)
    ):
        np.testing.assert_allclose(a, b, atol=2e-3)


def test_learners_side_by_side_have_their_own_kernels():
    x, kernels = draw(2, 1, 8, 8, 3), draw(2, 3, 3, 3, 2)
    both = jax.vmap(lambda x, k: conv(x, k, 2, 1))(x, kernels)
    for index in range(2):
        np.testing.assert_array_equal(both[index], conv(x[index], kernels[index], 2, 1))
    text = str(jax.make_jaxpr(jax.vmap(lambda x, k: conv(x, k, 2, 1)))(x, kernels))
    assert "feature_group_count=2" not in text
