"""What policies draw from: one-hot choices, Gaussians, and several of them at once.

`policies_v2` has DreamerV2's distributions; `Joint` and `noise` serve all bases.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from harmony_dreamerv3.nets import distributions as dist
from harmony_dreamerv3.nets.layers import Array


class OneHot(NamedTuple):
    """One-hot actions."""

    raw: Array  # [..., A], what the network says
    logits: Array  # [..., A], normalised, after unimix

    @staticmethod
    def noise(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
        """What `sample` takes."""
        return jax.random.gumbel(key, shape, dtype)

    def sample(self, noise: Array) -> Array:
        """Actions `[..., A]` of Gumbel noise `[..., A]`; zeros give the mode."""
        index = jnp.argmax(self.logits + noise, -1)
        return jax.nn.one_hot(index, self.logits.shape[-1], dtype=self.logits.dtype)

    def mode(self) -> Array:
        """The likeliest action."""
        return self.sample(jnp.zeros_like(self.logits))

    def densest(self, noise: Array) -> Array:
        """The mode, whatever was drawn."""
        del noise
        return self.mode()

    def log_prob(self, action: Array) -> Array:
        """`[...]` of actions `[..., A]`."""
        return (self.logits * action).sum(-1)

    def entropy(self, noise: Array | None = None) -> Array:
        """`[...]` in nats, exact; no noise is needed."""
        del noise
        return dist.categorical_entropy(self.logits)

    def masked(self, mask: Array) -> OneHot:
        """Without the choices where `mask` `[..., A]` is 0."""
        return self._replace(logits=masked(self.logits, mask))


class Normal(NamedTuple):
    """Gaussian actions with a mean in [-1, 1] and a bounded deviation; draws are not squashed."""

    mean: Array  # [..., A]
    std: Array  # [..., A]

    def sample(self, noise: Array) -> Array:
        """Actions `[..., A]` of standard normal noise `[..., A]`."""
        return self.mean + self.std * noise

    def log_prob(self, action: Array) -> Array:
        """`[...]` of actions `[..., A]`."""
        scaled = (action - self.mean) / self.std
        return (-0.5 * scaled**2 - jnp.log(self.std) - 0.5 * jnp.log(2.0 * jnp.pi)).sum(-1)

    def entropy(self) -> Array:
        """`[...]` in nats."""
        return dist.normal_entropy(self.std)


@dataclasses.dataclass(frozen=True)
class Joint:
    """Independent distributions of parts, whose actions lie one after another in a vector."""

    parts: tuple[Any, ...]
    sizes: tuple[int, ...]  # of their actions, together A

    def sample(self, noise: Array) -> Array:
        """Actions `[..., A]` of noise `[..., A]`."""
        return jnp.concatenate(self._each("sample", noise), -1)

    def mode(self) -> Array:
        """The most probable action `[..., A]`."""
        return jnp.concatenate([part.mode() for part in self.parts], -1)

    def densest(self, noise: Array) -> Array:
        """Of K draws `[K, ..., A]` of each part the one of highest density, `[..., A]`."""
        return jnp.concatenate(self._each("densest", noise), -1)

    def log_prob(self, action: Array) -> Array:
        """`[...]` of actions `[..., A]`: the sum of the parts'."""
        return sum(self._each("log_prob", action))

    def entropy(self, *noise: Array | None) -> Array:
        """`[...]` in nats: the sum of the parts'; noise `[K, ..., A]` as theirs takes it."""
        if not noise or noise[0] is None:
            return sum(part.entropy(*noise) for part in self.parts)
        return sum(self._each("entropy", noise[0]))

    def _each(self, method: str, x: Array) -> Any:
        pieces = zip(self.parts, split(x, self.sizes))
        return [getattr(part, method)(piece) for part, piece in pieces]


def joint(parts: Sequence[Any], sizes: Sequence[int]) -> Any:
    """Returns the distribution of all parts, which is the only part's own where there is one."""
    return parts[0] if len(parts) == 1 else Joint(tuple(parts), tuple(sizes))


def split(x: Array, sizes: Sequence[int]) -> list[Array]:
    """Cuts `[..., A]` into pieces of these sizes, which add up to A."""
    return [x] if len(sizes) == 1 else jnp.split(x, np.cumsum(sizes)[:-1], -1)


def noise(
    draws: Sequence[Callable], sizes: Sequence[int], key: Array, shape: tuple[int, ...], dtype: Any
) -> Array:
    """Draws noise `[*shape, A]` for the actions of a policy.

    Args:
      draws: of each part, a function of key, shape and dtype, such as `jax.random.gumbel`.
      sizes: of the parts.
      key: of all draws; the only part's own where there is one.
      shape, dtype: leading axes and dtype of the noise.
    """
    if len(draws) == 1:
        return draws[0](key, (*shape, sizes[0]), dtype)
    keys = jax.random.split(key, len(draws))
    pieces = [draw(k, (*shape, size), dtype) for draw, size, k in zip(draws, sizes, keys)]
    return jnp.concatenate(pieces, -1)


def obey(policy: Any, mask: Array | None) -> Any:
    """Returns the policy without what a mask `[..., A]` forbids; numbers are not masked."""
    if mask is None:
        return policy
    if isinstance(policy, Joint):
        pieces = zip(policy.parts, split(mask, policy.sizes))
        return Joint(tuple(obey(part, piece) for part, piece in pieces), policy.sizes)
    return policy.masked(mask) if hasattr(policy, "masked") else policy


def masked(logits: Array, mask: Array) -> Array:
    """Normalised log-probabilities `[..., C]`, minus infinity where the mask `[..., C]` is 0.

    A row of zeros, as environments give it where an episode ends, forbids nothing.
    """
    allowed = mask > 0.5
    allowed |= ~allowed.any(-1, keepdims=True)
    return jax.nn.log_softmax(jnp.where(allowed, logits, -jnp.inf), -1)
