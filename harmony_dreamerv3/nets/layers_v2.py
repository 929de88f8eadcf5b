"""Layers and heads of DreamerV2: affine maps and ELU, Xavier-uniform, without normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets.layers import Array, Initializer, full, uniform_avg


class Affine(nn.Module):
    """Affine layer, Xavier-uniform with zero bias unless told otherwise.

    Attributes:
      units: size of the output.
      kernel_init: initializer of the kernel.
      bias_init: initializer of the bias.
      dtype: dtype of the computation and of the result.
    """

    units: int
    kernel_init: Initializer = uniform_avg()
    bias_init: Initializer = nn.initializers.zeros
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., I]` to `[..., units]`."""
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.units), jnp.float32)
        bias = self.param("bias", self.bias_init, (self.units,), jnp.float32)
        return x.astype(self.dtype) @ kernel.astype(self.dtype) + bias.astype(self.dtype)


def fan_in_uniform(fan_in: int) -> Initializer:
    """Uniform within 1 / sqrt(fan_in), the default of torch for kernels and biases."""

    def init(key: Array, shape: Any, dtype: Any = jnp.float32) -> Array:
        limit = fan_in**-0.5
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init


class Mlp(nn.Module):
    """Affine layers with ELU, named h0, h1, ..."""

    layers: int
    units: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., I]` to `[..., units]`."""
        for index in range(self.layers):
            x = nn.elu(Affine(self.units, dtype=self.dtype, name=f"h{index}")(x))
        return x


class Head(nn.Module):
    """`Mlp` with affine outputs by name, in full precision.

    Attributes:
      layers: hidden layers.
      units: their width.
      outputs: size of each output; 0 gives `[...]` without an axis of its own.
      dtype: dtype of the computation.
    """

    layers: int
    units: int
    outputs: Mapping[str, int]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, feat: Array) -> Any:
        """Maps features `[..., F]` to the outputs in order, or to the one there is."""
        x = Mlp(self.layers, self.units, self.dtype, name="mlp")(feat)
        values = []
        for name, size in self.outputs.items():
            value = full(Affine(size or 1, dtype=self.dtype, name=name)(x))
            values.append(value if size else value[..., 0])
        return values[0] if len(values) == 1 else tuple(values)
