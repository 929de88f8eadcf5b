"""4x4 convolutions of stride 2 and their transposes, with derivatives that are fast.

Three bilinear maps are closed under differentiation, and a library convolution computes each:

    map                        by the first argument       by the second
    downsample(x, k) -> y      upsample(dy, flip k)        kernel_gradient(x, dy)
    upsample(x, k) -> y        downsample(dy, flip k)      flip kernel_gradient(dy, x)

XLA's own derivative of the transposed convolution is the same sum written as a convolution
with both sides dilated, for which CPUs have no fast code (docs/performance.md).

Under `jax.vmap` over learners every learner's kernel differs. The default would be a grouped
convolution, slow in the backward pass; here each learner has its own convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from harmony_dreamerv3.nets.fast.switch import is_plain

Array = jax.Array
PADDING = ((1, 1), (1, 1))  # "same" for even sizes


def one_by_one(function: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """Makes `jax.vmap` of a function call it once for each element of the batch."""
    mapped = custom_vmap(function)

    @mapped.def_vmap
    def rule(axis_size: int, in_batched: list[bool], *args: Array) -> tuple[Array, bool]:
        each = [
            [arg[i] if batched else arg for arg, batched in zip(args, in_batched, strict=True)]
            for i in range(axis_size)
        ]
        return jnp.stack([mapped(*one) for one in each]), True

    return mapped


def _library_down(x: Array, kernel: Array) -> Array:
    dims = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (2, 2), PADDING, dimension_numbers=dims)


def _library_up(x: Array, kernel: Array) -> Array:
    dims = ("NHWC", "HWOI", "NHWC")
    return lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=dims)


_down, _up = one_by_one(_library_down), one_by_one(_library_up)


@one_by_one
def _kernel_gradient(x: Array, y: Array) -> Array:
    """Sum over n, h, w of x[n, 2h + a - 1, 2w + b - 1, i] y[n, h, w, o]: `[4, 4, I, O]`."""
    dims = ("CHWN", "IHWO", "HWNC")  # the batch is what is summed over
    return lax.conv_general_dilated(
        x, y, (1, 1), PADDING, rhs_dilation=(2, 2), dimension_numbers=dims
    )


def _flip(kernel: Array) -> Array:
    return kernel[::-1, ::-1]


def downsample(x: Array, kernel: Array) -> Array:
    """Convolution of stride 2, "same" padding.

    Args:
      x: `[N, H, W, I]`, H and W even.
      kernel: `[4, 4, I, O]`.

    Returns:
      `[N, H / 2, W / 2, O]`.
    """
    return _library_down(x, kernel) if is_plain() else _downsample(x, kernel)


def upsample(x: Array, kernel: Array) -> Array:
    """Transposed convolution of stride 2, "same" padding.

    Args:
      x: `[N, H, W, I]`.
      kernel: `[4, 4, O, I]`, not flipped.

    Returns:
      `[N, 2 H, 2 W, O]`.
    """
    return _library_up(x, kernel) if is_plain() else _upsample(x, kernel)


_downsample, _upsample = jax.custom_vjp(_down), jax.custom_vjp(_up)


def _down_fwd(x: Array, kernel: Array) -> tuple[Array, Any]:
    return _down(x, kernel), (x, kernel)


def _down_bwd(saved: Any, dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    return _up(dy, _flip(kernel)), _kernel_gradient(x, dy)


def _up_fwd(x: Array, kernel: Array) -> tuple[Array, Any]:
    return _up(x, kernel), (x, kernel)


def _up_bwd(saved: Any, dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    return _down(dy, _flip(kernel)), _flip(_kernel_gradient(dy, x))


_downsample.defvjp(_down_fwd, _down_bwd)
_upsample.defvjp(_up_fwd, _up_bwd)
