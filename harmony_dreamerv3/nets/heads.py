"""Prediction heads: reward, continue, actor, critic."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from embodied.core.space import Space
from harmony_dreamerv3.config.dreamerv3 import ActorConfig, HeadConfig
from harmony_dreamerv3.nets import distributions as dist
from harmony_dreamerv3.nets import policies
from harmony_dreamerv3.nets.layers import MLP, Array, Linear


class Head(nn.Module):
    """MLP on latent features with one affine output, computed in `dtype`."""

    config: HeadConfig
    outputs: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, feat: Array) -> Array:
        """Maps features `[..., F]` to `[..., outputs]` in full precision."""
        c = self.config
        x = MLP(c.layers, c.units, self.dtype, name="mlp")(feat)
        return Linear(self.outputs, c.outscale, self.dtype, name="out")(x)


class Actor(nn.Module):
    """Policy head: logits of one-hot actions, mean and deviation of a Gaussian, or some of each.

    `parts` are the spaces of the action's parts, one-hot or numbers, together A wide.
    """

    config: ActorConfig
    parts: tuple[Space, ...]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, feat: Array) -> Any:
        """Maps features `[..., F]` to the distribution of actions `[..., A]`; see `policies`."""
        c = self.config
        sizes = [part.shape[0] for part in self.parts]
        numbers = [part.shape[0] for part in self.parts if not part.discrete]
        x = MLP(c.layers, c.units, self.dtype, name="mlp")(feat)
        out = policies.split(Linear(sum(sizes), c.outscale, self.dtype, name="out")(x), sizes)
        stds: Any = ()
        if numbers:
            std = Linear(sum(numbers), c.outscale, self.dtype, name="std")(x)
            stds = iter(policies.split(std, numbers))

        def distribution(part: Space, out: Array) -> Any:
            if part.discrete:
                return policies.OneHot(out, dist.unimix(out, c.unimix))
            std = (c.maxstd - c.minstd) * nn.sigmoid(next(stds) + 2.0) + c.minstd
            return policies.Normal(jnp.tanh(out), std)

        return policies.joint([distribution(*each) for each in zip(self.parts, out)], sizes)
