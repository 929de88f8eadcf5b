"""Layers and heads of DreamerV2: affine maps and ELU, Xavier-uniform, without normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets.affine import Affine
from harmony_dreamerv3.nets.layers import Array, Initializer, full


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
