"""Residual encoder and decoder with batch norm, for RLBench (HarmonyDream App. C.1).

Batch norms keep moving statistics in the collection `stats`; they are the only state of a network
here that no gradient trains.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets.affine import Affine
from harmony_dreamerv3.nets.layers import Array, full, uniform_avg
from harmony_dreamerv3.nets.layers_v2 import fan_in_uniform
from harmony_dreamerv3.nets.strided import conv, spread

STAGES, LAYERS = 3, 2  # each stage halves or doubles the image


class BatchNorm(nn.Module):
    """Batch norm over all axes but the last: epsilon 1e-5, momentum 0.1.

    The moving variance is the unbiased one, as torch keeps it.
    """

    momentum: float = 0.1

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Maps `[N, H, W, C]` to the same, in x's dtype; statistics are in full precision."""
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:], jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:], jnp.float32)
        moving_mean = self.variable("stats", "mean", jnp.zeros, x.shape[-1:], jnp.float32)
        moving_var = self.variable("stats", "var", jnp.ones, x.shape[-1:], jnp.float32)
        dtype, x = x.dtype, full(x)
        mean, var = moving_mean.value, moving_var.value
        if train:
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            if not self.is_initializing():
                count = x.size // x.shape[-1]
                unbiased = var * (count / max(1, count - 1))
                for moving, new in ((moving_mean, mean), (moving_var, unbiased)):
                    new = jax.lax.stop_gradient(new)
                    moving.value = (1 - self.momentum) * moving.value + self.momentum * new
        x = (x - mean) * jax.lax.rsqrt(var + 1e-5) * scale + bias
        return x.astype(dtype)


class Kernel(nn.Module):
    """Convolution of stride 1 without bias that keeps the size."""

    channels: int
    size: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[N, H, W, I]` to `[N, H, W, channels]`."""
        shape = (self.size, self.size, x.shape[-1], self.channels)
        init = fan_in_uniform(self.size**2 * x.shape[-1])  # torch's default
        kernel = self.param("kernel", init, shape, jnp.float32)
        return conv(x, kernel.astype(self.dtype), 1, self.size // 2)


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norms beside a skip, ReLU after the sum."""

    channels: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Maps `[N, H, W, I]` to `[N, H, W, channels]`."""
        y = Kernel(self.channels, 3, self.dtype, name="conv0")(x)
        y = nn.relu(BatchNorm(name="norm0")(y, train))
        y = BatchNorm(name="norm1")(Kernel(self.channels, 3, self.dtype, name="conv1")(y), train)
        if x.shape[-1] != self.channels:
            x = Kernel(self.channels, 1, self.dtype, name="skip")(x)
            x = BatchNorm(name="skip_norm")(x, train)
        return nn.relu(x + y)


class ResidualEncoder(nn.Module):
    """A convolution of stride 2, then stages of residual layers and average pooling."""

    depth: int  # channels of the first stage; doubled by each further one
    dtype: Any = jnp.float32  # of the computation

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Maps `[N, S, S, C]` to `[N, S / 16, S / 16, 4 depth]`."""
        shape = (3, 3, x.shape[-1], self.depth)
        kernel = self.param("kernel", uniform_avg(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.depth,), jnp.float32)
        x = nn.elu(conv(x, kernel.astype(self.dtype), 2, 1) + bias.astype(self.dtype))
        for stage in range(STAGES):
            for layer in range(LAYERS):  # the first changes the width
                name = f"stage{stage}_{layer}"
                x = Residual(self.depth * 2**stage, self.dtype, name=name)(x, train)
            n, h, w, c = x.shape
            x = x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))
        return x


class ResidualDecoder(nn.Module):
    """Stages of doubling and residual layers, then a transposed convolution of stride 2."""

    depth: int  # channels of the second-to-last stage; the last has half of it
    size: int  # height and width of the image
    channels: int  # of the image
    dtype: Any = jnp.float32  # of the computation

    @nn.compact
    def __call__(self, feat: Array, train: bool) -> Array:
        """Maps features `[N, F]` to images `[N, size, size, channels]`."""
        side, depth = self.size // 2 ** (STAGES + 1), self.depth * 2 ** (STAGES - 1)
        x = Affine(side * side * depth, dtype=self.dtype, name="in")(feat)
        x = x.reshape(-1, side, side, depth)
        for stage in range(STAGES):
            x = x.repeat(2, 1).repeat(2, 2)
            for layer in range(LAYERS):  # the last halves the width
                depth = depth // 2 if layer == LAYERS - 1 else depth
                x = Residual(depth, self.dtype, name=f"stage{stage}_{layer}")(x, train)
        shape = (3, 3, self.channels, depth)
        kernel = self.param("kernel", uniform_avg(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,), jnp.float32)
        return spread(x, kernel.astype(self.dtype), self.size, 2, 1) + bias.astype(self.dtype)
