"""Policies of DreamerV2 for numbers: truncated normal, squashed normal (DreamerPro).

A policy is made of the actor's outputs, in which `sample` is differentiable; choices are those of
`policies`.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri

from harmony_dreamerv3.nets.layers import Array

sg = jax.lax.stop_gradient
INSIDE = 1.0 - 1e-6  # actions stay that far within [-1, 1]


@dataclasses.dataclass(frozen=True)
class TruncatedNormal:
    """Normal cut to [-1, 1]: mean tanh(m), deviation 2 sigmoid(s / 2) + minstd, `[..., A]`."""

    mean: Array
    std: Array

    @classmethod
    def of(cls, mean: Array, std: Array, minstd: float) -> TruncatedNormal:
        """From the actor's outputs."""
        return cls(jnp.tanh(mean), 2.0 * jax.nn.sigmoid(std / 2.0) + minstd)

    @staticmethod
    def noise(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
        """Uniform noise in [0, 1)."""
        return jax.random.uniform(key, shape, dtype)

    @property
    def _ends(self) -> tuple[Array, Array]:
        return (-1.0 - self.mean) / self.std, (1.0 - self.mean) / self.std

    def sample(self, noise: Array) -> Array:
        """By the inverse of the distribution function."""
        low, high = (ndtr(end) for end in self._ends)
        share = low + noise * (high - low)
        # Rounding must not reach 0 or 1, whose quantiles are infinite.
        info = jnp.finfo(share.dtype)
        share = jnp.clip(share, info.tiny, 1.0 - info.epsneg)
        return _inside(ndtri(share) * self.std + self.mean)

    def mode(self) -> Array:
        """The mean, which lies inside."""
        return _inside(self.mean)

    def log_prob(self, action: Array) -> Array:
        """Log-density `[...]` of actions `[..., A]` in [-1, 1]."""
        low, high = (ndtr(end) for end in self._ends)
        scaled = (action - self.mean) / self.std
        normal = -0.5 * jnp.square(scaled) - 0.5 * jnp.log(2.0 * jnp.pi)
        return (normal - jnp.log(self.std * (high - low))).sum(-1)

    def entropy(self, noise: Array | None) -> Array:
        """Exact: log(sqrt(2 pi e) std Z) + (low pdf(low) - high pdf(high)) / 2 Z, summed."""
        del noise
        low, high = self._ends
        share = ndtr(high) - ndtr(low)
        tails = (low * _density(low) - high * _density(high)) / (2.0 * share)
        log = 0.5 * (jnp.log(2.0 * jnp.pi) + 1.0) + jnp.log(self.std * share)
        return (log + tails).sum(-1)


@dataclasses.dataclass(frozen=True)
class SquashedNormal:
    """tanh of a normal: mean 5 tanh(m / 5), deviation softplus(s) + minstd, `[..., A]`."""

    mean: Array
    std: Array

    @classmethod
    def of(cls, mean: Array, std: Array, minstd: float) -> SquashedNormal:
        """From the actor's outputs."""
        return cls(5.0 * jnp.tanh(mean / 5.0), jax.nn.softplus(std) + minstd)

    @staticmethod
    def noise(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
        """Normal noise."""
        return jax.random.normal(key, shape, dtype)

    def sample(self, noise: Array) -> Array:
        """tanh(mean + std noise)."""
        return jnp.tanh(self.mean + self.std * noise)

    def mode(self) -> Array:
        """tanh(mean), where the normal has its mode; the squashed one may have it elsewhere."""
        return jnp.tanh(self.mean)

    def log_prob(self, action: Array) -> Array:
        """Log-density `[...]` of actions `[..., A]` in [-1, 1]."""
        x = jnp.arctanh(jnp.clip(action, -INSIDE, INSIDE))
        return self.log_density((x - self.mean) / self.std)

    def log_density(self, noise: Array) -> Array:
        """Log-density `[...]` of the action that `sample` makes of `noise` `[..., A]`."""
        x = self.mean + self.std * noise
        normal = -0.5 * jnp.square(noise) - jnp.log(self.std) - 0.5 * jnp.log(2.0 * jnp.pi)
        # log(1 - tanh(x)^2), which does not underflow.
        volume = 2.0 * (jnp.log(2.0) - x - jax.nn.softplus(-2.0 * x))
        return (normal - volume).sum(-1)

    def densest(self, noise: Array) -> Array:
        """Of K draws `[K, ..., A]` the one of highest density, `[..., A]`."""
        best = jnp.argmax(self.log_density(noise), 0)
        return jnp.take_along_axis(self.sample(noise), best[None, ..., None], 0)[0]

    def entropy(self, noise: Array | None) -> Array:
        """Estimated by -log_density of draws, with the gradient through them."""
        assert noise is not None, "a squashed normal's entropy has no closed form"
        return -self.log_density(noise).mean(0)


NUMBERS = {"trunc_normal": TruncatedNormal, "tanh_normal": SquashedNormal}


def _density(x: Array) -> Array:
    return jnp.exp(-0.5 * jnp.square(x)) / jnp.sqrt(2.0 * jnp.pi)


def _inside(action: Array) -> Array:
    """Clips, and lets the gradient pass."""
    return action + sg(jnp.clip(action, -INSIDE, INSIDE) - action)
