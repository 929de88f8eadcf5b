"""Prediction heads of the 2025 base: reward, continue, critic, and a policy of several keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from embodied.core.space import Space
from harmony_dreamerv3.config.dreamerv3 import ActorConfig
from harmony_dreamerv3.config.dreamerv3_2025 import HeadConfig
from harmony_dreamerv3.nets import distributions as dist
from harmony_dreamerv3.nets.affine import Affine
from harmony_dreamerv3.nets.layers import Array, full
from harmony_dreamerv3.nets.policies import Normal, OneHot
from harmony_dreamerv3.nets.rms_layers import RMSMLP, trunc_normal_in


class Head(nn.Module):
    """MLP with logits of a symexp two-hot distribution (`symexp_twohot`), or a Bernoulli one."""

    config: HeadConfig  # sizes
    binary: bool = False  # whether it is a Bernoulli one
    dtype: Any = jnp.float32  # of the computation

    @nn.compact
    def __call__(self, feat: Array) -> Array:
        """Maps features `[..., F]` to logits `[..., bins]` or `[...]` in full precision."""
        c, (name, size) = self.config, ("logit", 1) if self.binary else ("logits", self.config.bins)
        x = RMSMLP(c.layers, c.units, self.dtype, name="mlp")(feat)
        logits = full(Outputs({name: size}, c.outscale, self.dtype, name="head")(x)[name])
        return logits[..., 0] if self.binary else logits


class PolicyHead(nn.Module):
    """MLP with one distribution for each action key."""

    config: ActorConfig  # sizes and range of the deviation
    actions: Mapping[str, Space]  # spaces by key, one-hot or continuous `(A,)`
    dtype: Any = jnp.float32  # of the computation

    @nn.compact
    def __call__(self, feat: Array) -> dict[str, OneHot | Normal]:
        """Maps features `[..., F]` to a distribution for each key."""
        c = self.config
        x = RMSMLP(c.layers, c.units, self.dtype, name="mlp")(feat)
        sizes = {
            key: dict.fromkeys(
                ("logits",) if space.discrete else ("mean", "stddev"), space.shape[0]
            )
            for key, space in self.actions.items()
        }
        out = jax.tree.map(full, KeyedOutputs(sizes, c.outscale, self.dtype, name="head")(x))
        return {key: self._distribution(out[key]) for key in self.actions}

    def _distribution(self, out: dict[str, Array]) -> OneHot | Normal:
        c = self.config
        if "logits" in out:
            return OneHot(out["logits"], dist.unimix(out["logits"], c.unimix))
        std = (c.maxstd - c.minstd) * nn.sigmoid(out["stddev"] + 2.0) + c.minstd
        return Normal(jnp.tanh(out["mean"]), std)


class Outputs(nn.Module):
    """Affine outputs of given sizes by name."""

    sizes: Mapping[str, int]
    outscale: float
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> dict[str, Array]:
        """Maps `[..., units]` to `[..., size]` each."""
        return {
            name: Affine(size, trunc_normal_in(self.outscale), dtype=self.dtype, name=name)(x)
            for name, size in self.sizes.items()
        }


class KeyedOutputs(nn.Module):
    """`Outputs` of each key."""

    sizes: Mapping[str, Mapping[str, int]]
    outscale: float
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> dict[str, dict[str, Array]]:
        """Maps `[..., units]` to `{key: {name: [..., size]}}`."""
        return {
            key: Outputs(sizes, self.outscale, self.dtype, name=key)(x)
            for key, sizes in self.sizes.items()
        }
