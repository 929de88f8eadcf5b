"""Layers and heads of DreamerV2: affine maps and ELU, Xavier-uniform, without normalisation."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from embodied.core.space import Space
from harmony_dreamerv3.config.dreamerv2 import ActorConfig, HeadConfig
from harmony_dreamerv3.nets import policies, policies_v2
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
    """`Mlp` with one number in full precision."""

    config: HeadConfig  # hidden layers and their width
    dtype: Any = jnp.float32  # of the computation

    @nn.compact
    def __call__(self, feat: Array) -> Array:
        """Maps features `[..., F]` to `[...]`."""
        x = Mlp(self.config.layers, self.config.units, self.dtype, name="mlp")(feat)
        return full(Affine(1, dtype=self.dtype, name="out")(x))[..., 0]


class Actor(nn.Module):
    """`Mlp` with a policy: logits of choices, mean and deviation of numbers, or some of each."""

    config: ActorConfig  # hidden layers and their width, distribution of numbers
    parts: tuple[Space, ...]  # spaces of the action's parts, one-hot or numbers, together A wide
    dtype: Any = jnp.float32  # dtype of the computation; outputs have full precision

    @nn.compact
    def __call__(self, feat: Array) -> Any:
        """Maps features `[..., F]` to the distribution of actions `[..., A]`."""
        c = self.config
        sizes = [part.shape[0] for part in self.parts]
        numbers = [part.shape[0] for part in self.parts if not part.discrete]
        x = Mlp(c.layers, c.units, self.dtype, name="mlp")(feat)
        out = policies.split(full(Affine(sum(sizes), dtype=self.dtype, name="out")(x)), sizes)
        stds: Any = ()
        if numbers:
            std = full(Affine(sum(numbers), dtype=self.dtype, name="std")(x))
            stds = iter(policies.split(std, numbers))
        parts = [
            policies.OneHot(x, jax.nn.log_softmax(x, -1))
            if kind is policies.OneHot
            else kind.of(x, next(stds), c.minstd)
            for kind, x in zip(self.kinds, out)
        ]
        return policies.joint(parts, sizes)

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The distributions of the action's parts."""
        numbers = policies_v2.NUMBERS[self.config.dist]
        return tuple(policies.OneHot if part.discrete else numbers for part in self.parts)

    def noise(self, key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
        """Noise `[*shape, A]` for draws."""
        sizes = [part.shape[0] for part in self.parts]
        return policies.noise([kind.noise for kind in self.kinds], sizes, key, shape, dtype)
