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

from harmony_dreamerv3.nets.layers import Array, Initializer, full


def trunc_normal_in(fan_in: int, outscale: float = 1.0) -> Initializer:
    """Truncated normal on two deviations, of deviation outscale / sqrt(fan_in)."""

    def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        # 1.1368 makes up for the truncation.
        std = 1.1368 * outscale / math.sqrt(fan_in)
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


class Linear(nn.Module):
    """Affine map.

    Attributes:
      units: size O of the output.
      outscale: scale of the initial kernel.
      dtype: dtype of the computation and of the result.
    """

    units: int
    outscale: float = 1.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., I]` to `[..., O]`."""
        size = x.shape[-1]
        init = trunc_normal_in(size, self.outscale)
        kernel = self.param("kernel", init, (size, self.units), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.units,), jnp.float32)
        return x.astype(self.dtype) @ kernel.astype(self.dtype) + bias.astype(self.dtype)


class BlockLinear(nn.Module):
    """Affine map with a block-diagonal kernel: group g of the output sees group g of the input.

    Attributes:
      units: size O of the output.
      blocks: number G of contiguous groups.
      dtype: dtype of the computation and of the result.
    """

    units: int
    blocks: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., I]` to `[..., O]`."""
        size, groups = x.shape[-1], self.blocks
        shape = (groups, size // groups, self.units // groups)
        # As upstream: the fan is that of the whole input, so that weights are sqrt(G) smaller
        # than those of G separate layers.
        kernel = self.param("kernel", trunc_normal_in(size), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.units,), jnp.float32)
        x = x.astype(self.dtype).reshape(*x.shape[:-1], groups, size // groups)
        y = jnp.einsum("...gi,gio->...go", x, kernel.astype(self.dtype))
        return y.reshape(*y.shape[:-2], self.units) + bias.astype(self.dtype)


class Conv(nn.Module):
    """5x5 convolution with "same" padding.

    Attributes:
      units: output channels O.
      stride: 1 or 2; 2 halves height and width.
      outscale: scale of the initial kernel.
      dtype: dtype of the computation and of the result.
    """

    units: int
    stride: int = 1
    outscale: float = 1.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[N, H, W, C]` to `[N, H / stride, W / stride, O]`."""
        shape = (5, 5, x.shape[-1], self.units)
        init = trunc_normal_in(math.prod(shape[:-1]), self.outscale)
        kernel = self.param("kernel", init, shape, jnp.float32).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.units,), jnp.float32)
        y = jax.lax.conv_general_dilated(
            x.astype(self.dtype), kernel, (self.stride,) * 2, "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        return y + bias.astype(self.dtype)


class RMSMLP(nn.Module):
    """A stack of linear0, norm0, SiLU, linear1, ...

    Attributes:
      layers: how many.
      units: width of each.
      dtype: dtype of the computation.
    """

    layers: int
    units: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., I]` to `[..., units]`."""
        for i in range(self.layers):
            x = Linear(self.units, dtype=self.dtype, name=f"linear{i}")(x)
            x = nn.silu(RMSNorm(name=f"norm{i}")(x))
        return x
