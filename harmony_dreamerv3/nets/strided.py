"""Convolutions of any kernel, stride and padding, and their adjoints (DreamerV2).

With w the kernel `[K, K, I, O]`, s the stride and p the padding, three bilinear maps are closed
under differentiation, so that no derivative dilates both sides (which CPUs have no fast code for):

    conv(x, w)[o] = sum_k x[s o + k - p] w[k]           by x: spread(dy, w)   by w: outer(x, dy)
    spread(y, w)[s o + k - p] += y[o] w[k]              by y: conv(dx, w)     by w: outer(dx, y)
    outer(x, y)[k] = sum_o x[s o + k - p] y[o]

`spread` is the transposed convolution. Under `jax.vmap` over learners each has its own call.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
from jax import lax

from harmony_dreamerv3.nets.fast.conv import one_by_one

Array = jax.Array


def size_after(size: int, kernel: int, stride: int, pad: int) -> int:
    """Height or width of what `conv` returns."""
    return (size + 2 * pad - kernel) // stride + 1


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv(x: Array, kernel: Array, stride: int = 2, pad: int = 0) -> Array:
    """Convolution (without flipping the kernel).

    Args:
      x: `[N, H, W, I]`.
      kernel: `[K, K, I, O]`.
      stride: distance of neighbouring outputs, in pixels of x.
      pad: zeros on every side.

    Returns:
      `[N, (H + 2 pad - K) // stride + 1, ..., O]`.
    """
    return _conv(x, kernel, stride, pad)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def spread(y: Array, kernel: Array, size: int, stride: int = 2, pad: int = 0) -> Array:
    """Transposed convolution: the adjoint of `conv` by its first argument.

    Args:
      y: `[N, h, w, O]`.
      kernel: `[K, K, I, O]`.
      size: height and width of the result; `conv` of it has h rows.
      stride: distance of what neighbours in y are spread around.
      pad: pixels that are cut off on every side.

    Returns:
      `[N, size, size, I]`.
    """
    return _spread(y, kernel, size, stride, pad)


def _conv(x: Array, kernel: Array, stride: int, pad: int) -> Array:
    def one(x: Array, kernel: Array) -> Array:
        return lax.conv_general_dilated(
            x, kernel, (stride, stride), ((pad, pad),) * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    return one_by_one(one)(x, kernel)


def _spread(y: Array, kernel: Array, size: int, stride: int, pad: int) -> Array:
    def one(y: Array, kernel: Array) -> Array:
        low = kernel.shape[0] - 1 - pad
        # Outputs that no window reaches (size not a multiple of the stride) are zeros.
        high = size - (y.shape[1] - 1) * stride - 1 + pad
        return lax.conv_general_dilated(
            y, kernel[::-1, ::-1], (1, 1), ((low, high),) * 2, lhs_dilation=(stride, stride),
            dimension_numbers=("NHWC", "HWOI", "NHWC"),
        )  # fmt: skip

    return one_by_one(one)(y, kernel)


def _outer(x: Array, y: Array, kernel: int, stride: int, pad: int) -> Array:
    def one(x: Array, y: Array) -> Array:
        # The batch is what is summed over. Rows of x that no window reaches are cut off.
        high = (y.shape[1] - 1) * stride + kernel - x.shape[1] - pad
        return lax.conv_general_dilated(
            x, y, (1, 1), ((pad, high),) * 2, rhs_dilation=(stride, stride),
            dimension_numbers=("CHWN", "IHWO", "HWNC"),
        )  # fmt: skip

    return one_by_one(one)(x, y)


def _conv_fwd(x: Array, kernel: Array, stride: int, pad: int) -> tuple[Array, Any]:
    return _conv(x, kernel, stride, pad), (x, kernel)


def _conv_bwd(stride: int, pad: int, saved: Any, dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    return (
        _spread(dy, kernel, x.shape[1], stride, pad),
        _outer(x, dy, kernel.shape[0], stride, pad),
    )


def _spread_fwd(y: Array, kernel: Array, size: int, stride: int, pad: int) -> tuple[Array, Any]:
    return _spread(y, kernel, size, stride, pad), (y, kernel)


def _spread_bwd(size: int, stride: int, pad: int, saved: Any, dx: Array) -> tuple[Array, Array]:
    del size
    y, kernel = saved
    return _conv(dx, kernel, stride, pad), _outer(dx, y, kernel.shape[0], stride, pad)


conv.defvjp(_conv_fwd, _conv_bwd)
spread.defvjp(_spread_fwd, _spread_bwd)
