"""Prediction heads: reward, continue, actor, critic."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from harmony_dreamerv3.nets.layers import MLP, Array, Linear, full


class Head(nn.Module):
    """MLP on latent features with one affine output.

    Attributes:
      layers: hidden layers.
      units: their width.
      outputs: size of the output; 1 gives `[...]` without an axis of its own when `scalar`.
      outscale: scale of the output layer's initializer.
      scalar: drop the output axis.
      dtype: dtype of the computation; the result has full precision.
    """

    layers: int
    units: int
    outputs: int
    outscale: float = 1.0
    scalar: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, feat: Array) -> Array:
        """Maps features `[..., F]` to `[..., outputs]`, or `[...]` when scalar."""
        x = MLP(self.layers, self.units, self.dtype, name="mlp")(feat)
        out = full(Linear(self.outputs, self.outscale, self.dtype, name="out")(x))
        return out[..., 0] if self.scalar else out


class ContinuousActorHead(nn.Module):
    """Mean and standard deviation of a Gaussian policy (`normal` of DreamerV3).

    Attributes:
      layers: hidden layers.
      units: their width.
      outputs: size A of the action.
      outscale: scale of the output layers' initializers.
      minstd: lower end of the standard deviation.
      maxstd: upper end.
      dtype: dtype of the computation; the result has full precision.
    """

    layers: int
    units: int
    outputs: int
    outscale: float
    minstd: float
    maxstd: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, feat: Array) -> tuple[Array, Array]:
        """Maps features `[..., F]` to mean and std, `[..., A]` each."""
        x = MLP(self.layers, self.units, self.dtype, name="mlp")(feat)
        mean = full(Linear(self.outputs, self.outscale, self.dtype, name="out")(x))
        std = full(Linear(self.outputs, self.outscale, self.dtype, name="std")(x))
        std = (self.maxstd - self.minstd) * nn.sigmoid(std + 2.0) + self.minstd
        return jnp.tanh(mean), std
