"""4x4 convolutions of stride 2 and their transposes, with derivatives that are fast.

Three bilinear maps are closed under differentiation, and a library convolution computes each:

    map                        by the first argument       by the second
    downsample(x, k) -> y      upsample(dy, flip k)        kernel_gradient(x, dy)
    upsample(x, k) -> y        downsample(dy, flip k)      flip kernel_gradient(dy, x)

XLA's own derivative of the transposed convolution is the same sum written as a convolution
with both sides dilated, for which CPUs have no fast code (docs/performance.md). On CPUs `upsample`
is a product of pixels with the whole kernel, then a sum of what overlaps, and `downsample` of few
channels its mirror image.

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
Map = Callable[[Array, Array], Array]
PADDING = ((1, 1), (1, 1))  # "same" for even sizes
FEW = 8  # Below so many channels the library has slow code on CPUs.
MANY = 128  # Beyond so many images it has slow code for the kernel's gradient.
PIECE = 16  # images


def one_by_one(function: Map) -> Map:
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


def _blocks(x: Array) -> Array:
    """Makes 2x2 pixels one: `[N, H, W, C]`, padded, to `[N, H / 2 + 1, W / 2 + 1, 4 C]`."""
    n, height, width, channels = x.shape
    h, w = height // 2 + 1, width // 2 + 1
    x = jnp.pad(x, ((0, 0), *PADDING, (0, 0))).reshape(n, h, 2, w, 2, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, h, w, 4 * channels)


def _cpu_down(x: Array, kernel: Array) -> Array:
    if x.shape[-1] >= FEW:
        return _library_down(x, kernel)
    matrix = kernel.reshape(2, 2, 2, 2, *kernel.shape[2:]).transpose(1, 3, 4, 0, 2, 5)
    matrix = matrix.reshape(4 * x.shape[-1], -1)

    def some(x: Array) -> Array:
        # A kernel covers 2x2 blocks: the sum of a share of each, all shares being one product.
        shares = jnp.split(_blocks(x) @ matrix, 4, -1)
        return sum(_shifted(share, i) for i, share in enumerate(shares))  # type: ignore[return-value]

    return _pieces(some, x)


def _cpu_up(x: Array, kernel: Array) -> Array:
    out, into = kernel.shape[2:]
    matrix = _flip(kernel).reshape(2, 2, 2, 2, out, into).transpose(5, 0, 2, 1, 3, 4)
    matrix = matrix.reshape(into, -1)

    def some(x: Array) -> Array:
        # The transpose of the same: shares of blocks, then their sums.
        n, h, w, _ = x.shape
        shares = jnp.split(x @ matrix, 4, -1)
        y: Any = sum(_unshifted(share, i) for i, share in enumerate(shares))
        y = y.reshape(n, h + 1, w + 1, 2, 2, out).transpose(0, 1, 3, 2, 4, 5)
        return y.reshape(n, 2 * h + 2, 2 * w + 2, out)[:, 1:-1, 1:-1]

    return _pieces(some, x)


def _cpu_kernel_gradient(x: Array, y: Array) -> Array:
    into, out = x.shape[-1], y.shape[-1]
    if into >= FEW and len(x) <= MANY:
        return _library_kernel_gradient(x, y)

    def some(x: Array, y: Array) -> Array:
        x = _blocks(x)
        shifted = [_shifted(x, i) for i in range(4)]
        if into < FEW:
            return _over_pixels(y, jnp.concatenate(shifted, -1))
        return jnp.concatenate([_over_pixels(y, x) for x in shifted], -1)

    kernel = _pieces(some, x, y, total=True)
    kernel = kernel.reshape(out, 2, 2, 2, 2, into).transpose(1, 3, 2, 4, 5, 0)
    return kernel.reshape(4, 4, into, out)


def _over_pixels(y: Array, x: Array) -> Array:
    lead = (0, 1, 2)
    return lax.dot_general(y, x, ((lead, lead), ((), ())))


def _pieces(function: Callable[..., Array], *args: Array, total: bool = False) -> Array:
    """Calls a function of images `[n, ...]` for few after another, so that all stays in a cache.

    Its results are concatenated, or with `total` added up.
    """
    count = len(args[0])
    size = next(size for size in range(min(PIECE, count), 0, -1) if count % size == 0)
    pieces = [x.reshape(-1, size, *x.shape[1:]) for x in args]
    if not total:
        result = lax.map(lambda some: function(*some), tuple(pieces))
        return result.reshape(count, *result.shape[2:])
    shape = jax.eval_shape(function, *(x[0] for x in pieces))
    none = jnp.zeros(shape.shape, shape.dtype)
    return lax.scan(lambda x, some: (x + function(*some), None), none, tuple(pieces))[0]


def _shifted(x: Array, i: int) -> Array:
    """Block i, of four, below each kernel: `[N, H + 1, W + 1, C]` to `[N, H, W, C]`."""
    return x[:, i // 2 : x.shape[1] - 1 + i // 2, i % 2 : x.shape[2] - 1 + i % 2]


def _unshifted(x: Array, i: int) -> Array:
    """The transpose of `_shifted`."""
    row, column = ((j, 1 - j) for j in divmod(i, 2))
    return jnp.pad(x, ((0, 0), row, column, (0, 0)))


def _flip(kernel: Array) -> Array:
    return kernel[::-1, ::-1]


def _on(cpu: Map, default: Map) -> Map:
    """Chooses by platform, and for each learner under `jax.vmap`."""
    return one_by_one(lambda *args: lax.platform_dependent(*args, cpu=cpu, default=default))


def _library_kernel_gradient(x: Array, y: Array) -> Array:
    """Sum over n, h, w of x[n, 2h + a - 1, 2w + b - 1, i] y[n, h, w, o]: `[4, 4, I, O]`."""
    dims = ("CHWN", "IHWO", "HWNC")  # the batch is what is summed over
    return lax.conv_general_dilated(
        x, y, (1, 1), PADDING, rhs_dilation=(2, 2), dimension_numbers=dims
    )


_down, _up = _on(_cpu_down, _library_down), _on(_cpu_up, _library_up)
_kernel_gradient = _on(_cpu_kernel_gradient, _library_kernel_gradient)


def downsample(x: Array, kernel: Array) -> Array:
    """Convolution of stride 2, "same" padding: `[N, H / 2, W / 2, O]`.

    `x` is `[N, H, W, I]`, H and W even, the kernel `[4, 4, I, O]`.
    """
    return _library_down(x, kernel) if is_plain() else _downsample(x, kernel)


def upsample(x: Array, kernel: Array) -> Array:
    """Transposed convolution of stride 2, "same" padding: `[N, 2 H, 2 W, O]`.

    `x` is `[N, H, W, I]`, the kernel `[4, 4, O, I]`, not flipped.
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
