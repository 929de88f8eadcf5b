"""Prediction heads: reward, continue, actor, critic."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from harmony_dreamerv3.nets.deferred import Layers
from harmony_dreamerv3.nets.layers import (
    MLP,
    AffineWeights,
    Array,
    Linear,
    MLPWeights,
    Weights,
    full,
)


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


class Actor(nn.Module):
    """Policy head: logits of one-hot actions, or mean and deviation of a Gaussian.

    Declares its parameters; `output` is a function of them that can be used inside loops.

    Attributes:
      inputs: size F of the features.
      layers: hidden layers.
      units: their width.
      actions: size A of the action.
      discrete: one-hot actions.
      outscale: scale of the output layers' initializers.
      minstd: lower end of the standard deviation.
      maxstd: upper end.
      dtype: dtype of the computation; outputs have full precision.
    """

    inputs: int
    layers: int
    units: int
    actions: int
    discrete: bool
    outscale: float
    minstd: float
    maxstd: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self) -> Weights:
        """Returns all weights by layer."""
        weights = MLPWeights(self.inputs, self.layers, self.units, name="mlp")()
        shape = (self.units if self.layers else self.inputs, self.actions)
        for name in ("out",) if self.discrete else ("out", "std"):
            weights[name] = AffineWeights(shape, self.outscale, name=name)()
        return weights

    def output(self, layers: Layers, feat: Array) -> Any:
        """Maps features `[..., F]` to logits `[..., A]`, or mean and std, `[..., A]` each."""
        x = feat.astype(self.dtype)
        for index in range(self.layers):
            x = nn.silu(layers.norm(f"h{index}_norm", layers.linear(f"h{index}", x)))
        out = layers.linear("out", x)
        if self.discrete:
            return out
        std = nn.sigmoid(layers.linear("std", x) + 2.0)
        return jnp.tanh(out), (self.maxstd - self.minstd) * std + self.minstd
