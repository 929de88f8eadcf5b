"""Layers of the 2025 base: affine maps with RMS norms (flax.linen).

In every stack the order is map, norm, SiLU. Maps have biases even before a norm. Products run in
`dtype`; parameters and the statistics of norms are float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets import fast
from harmony_dreamerv3.nets.affine import Affine, cast
from harmony_dreamerv3.nets.layers import Array, Initializer, full


def trunc_normal_in(outscale: float = 1.0) -> Initializer:
    """Truncated normal on two deviations, of deviation outscale / sqrt(fan-in).

    The fan-in is all of a kernel `[..., out]` but its last axis; of a block-diagonal one `[blocks,
    in / blocks, out / blocks]` that of the whole input, as upstream has it, so that weights are
    sqrt(blocks) smaller than those of separate layers.
    """

    def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        # 1.1368 makes up for the truncation.
        std = 1.1368 * outscale / math.sqrt(math.prod(shape[:-1]))
        return std * jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype)

    return init


class RMSNorm(nn.Module):
    """Divides by the root mean square of the last axis and scales; epsilon 1e-4, no offset."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., C]` to `[..., C]` of the same dtype, in full precision in between."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],), jnp.float32)
        y = full(x)
        y = y * jax.lax.rsqrt(jnp.square(y).mean(-1, keepdims=True) + 1e-4)
        return (y * scale).astype(x.dtype)


class Linear(Affine):
    """`Affine` with the initial kernel of this base."""

    kernel_init: Initializer = trunc_normal_in()


class BlockLinear(nn.Module):
    """Affine map with a block-diagonal kernel: group g of the output sees group g of the input."""

    units: int  # size O of the output
    blocks: int  # number G of contiguous groups
    sizes: tuple[int, ...]  # of the input I, and of what follows it, which all groups see
    dtype: Any = jnp.float32  # dtype of the computation and of the result

    @nn.compact
    def __call__(self, *pieces: Any, ahead: int | None = None) -> Any:
        """Maps pieces `[..., sizes[i]]` to `[..., O]`; arguments are those of `Affine`."""
        own, *shared = self.sizes
        sizes = (own // self.blocks, *shared)
        shape = (self.blocks, sum(sizes), self.units // self.blocks)
        kernel = self.param("kernel", trunc_normal_in(), shape, jnp.float32).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.units,), jnp.float32)
        pieces = cast(pieces, self.dtype)
        if ahead is not None:
            return fast.block_project(self, kernel, sizes, ahead, *pieces)
        return fast.block_product(self, kernel, sizes, pieces) + bias.astype(self.dtype)


class Conv(nn.Module):
    """5x5 convolution with "same" padding."""

    units: int  # output channels O
    stride: int = 1  # 1 or 2; 2 halves height and width
    dtype: Any = jnp.float32  # dtype of the computation and of the result

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[N, H, W, C]` to `[N, H / stride, W / stride, O]`."""
        shape = (5, 5, x.shape[-1], self.units)
        kernel = self.param("kernel", trunc_normal_in(), shape, jnp.float32).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.units,), jnp.float32)
        y = jax.lax.conv_general_dilated(
            x.astype(self.dtype), kernel, (self.stride,) * 2, "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        return y + bias.astype(self.dtype)


class RMSMLP(nn.Module):
    """A stack of linear0, norm0, SiLU, linear1, ..."""

    layers: int  # how many
    units: int  # width of each
    dtype: Any = jnp.float32  # of the computation

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., I]` to `[..., units]`."""
        for i in range(self.layers):
            x = Linear(self.units, dtype=self.dtype, name=f"linear{i}")(x)
            x = nn.silu(RMSNorm(name=f"norm{i}")(x))
        return x
