"""Prediction heads: reward, continue, actor, critic."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from harmony_dreamerv3.config.dreamerv3 import ActorConfig, HeadConfig
from harmony_dreamerv3.nets.layers import MLP, Array, Linear


class Head(nn.Module):
    """MLP on latent features with one affine output.

    Attributes:
      config: layers, width, scale of the output layer's initializer.
      outputs: size of the output.
      dtype: dtype of the computation; the result has full precision.
    """

    config: HeadConfig
    outputs: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, feat: Array) -> Array:
        """Maps features `[..., F]` to `[..., outputs]`."""
        c = self.config
        x = MLP(c.layers, c.units, self.dtype, name="mlp")(feat)
        return Linear(self.outputs, c.outscale, self.dtype, name="out")(x)


class Actor(nn.Module):
    """Policy head: logits of one-hot actions, or mean and deviation of a Gaussian.

    Attributes:
      config: layers, width, scale of the output layers' initializers, range of the deviation.
      actions: size A of the action.
      discrete: one-hot actions.
      dtype: dtype of the computation; outputs have full precision.
    """

    config: ActorConfig
    actions: int
    discrete: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, feat: Array) -> Any:
        """Maps features `[..., F]` to logits `[..., A]`, or mean and std, `[..., A]` each."""
        c = self.config
        x = MLP(c.layers, c.units, self.dtype, name="mlp")(feat)
        out = Linear(self.actions, c.outscale, self.dtype, name="out")(x)
        if self.discrete:
            return out
        std = Linear(self.actions, c.outscale, self.dtype, name="std")(x)
        return jnp.tanh(out), (c.maxstd - c.minstd) * nn.sigmoid(std + 2.0) + c.minstd
