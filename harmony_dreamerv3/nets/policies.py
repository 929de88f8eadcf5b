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

    def sample(self, noise: Array) -> Array:
        """Actions `[..., A]` of Gumbel noise `[..., A]`; zeros give the mode."""
        index = jnp.argmax(self.logits + noise, -1)
        return jax.nn.one_hot(index, self.logits.shape[-1], dtype=self.logits.dtype)

    def log_prob(self, action: Array) -> Array:
        """`[...]` of actions `[..., A]`."""
        return (self.logits * action).sum(-1)

    def entropy(self) -> Array:
        """`[...]` in nats."""
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
        return dist.normal_log_prob(self.mean, self.std, action)

    def entropy(self) -> Array:
        """`[...]` in nats."""
        return dist.normal_entropy(self.std)


@dataclasses.dataclass(frozen=True)
class Joint:
    """Independent distributions of parts, whose actions lie one after another in a vector.

    Attributes:
      parts: the distributions.
      sizes: of their actions, together A.
    """

    parts: tuple[Any, ...]
    sizes: tuple[int, ...]

    def sample(self, noise: Array) -> Array:
        """Actions `[..., A]` of noise `[..., A]`."""
        return self._joined("sample", noise)

    def mode(self) -> Array:
        """The most probable action `[..., A]`."""
        return jnp.concatenate([part.mode() for part in self.parts], -1)

    def densest(self, noise: Array) -> Array:
        """Of K draws `[K, ..., A]` of each part the one of highest density, `[..., A]`."""
        return self._joined("densest", noise)

    def log_prob(self, action: Array) -> Array:
        """`[...]` of actions `[..., A]`: the sum of the parts'."""
        pieces = zip(self.parts, split(action, self.sizes))
        return sum(part.log_prob(piece) for part, piece in pieces)

    def entropy(self, *noise: Array | None) -> Array:
        """`[...]` in nats: the sum of the parts'; noise `[K, ..., A]` as theirs takes it."""
        if not noise or noise[0] is None:
            return sum(part.entropy(*noise) for part in self.parts)
        pieces = zip(self.parts, split(noise[0], self.sizes))
        return sum(part.entropy(piece) for part, piece in pieces)

    def _joined(self, method: str, noise: Array) -> Array:
        pieces = zip(self.parts, split(noise, self.sizes))
        return jnp.concatenate([getattr(part, method)(piece) for part, piece in pieces], -1)


def joint(parts: Sequence[Any], sizes: Sequence[int]) -> Any:
    """Returns the distribution of all parts, which is the only part's own where there is one."""
    return parts[0] if len(parts) == 1 else Joint(tuple(parts), tuple(sizes))


def split(x: Array, sizes: Sequence[int]) -> list[Array]:
    """Cuts `[..., A]` into pieces of these sizes, which add up to A."""
    return [x] if len(sizes) == 1 else jnp.split(x, np.cumsum(sizes)[:-1], -1)


def noise(
    draws: Sequence[Callable], sizes: Sequence[int], key: Array, shape: tuple[int, ...], dtype: Any
) -> Array:
    """Draws noise for the actions of a policy.

    Args:
      draws: of each part, a function of key, shape and dtype, such as `jax.random.gumbel`.
      sizes: of the parts.
      key: of all draws; the only part's own where there is one.
      shape: leading axes.
      dtype: of the noise.

    Returns:
      `[*shape, A]`.
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
    """Takes out what may not be chosen.

    Args:
      logits: `[..., C]`.
      mask: `[..., C]`, 1 for what may be chosen. A row of zeros, as environments give it where an
        episode ends, forbids nothing.

    Returns:
      Normalised log-probabilities `[..., C]`, minus infinity where the mask is 0.
    """
    allowed = mask > 0.5
    allowed |= ~allowed.any(-1, keepdims=True)
    return jax.nn.log_softmax(jnp.where(allowed, logits, -jnp.inf), -1)
