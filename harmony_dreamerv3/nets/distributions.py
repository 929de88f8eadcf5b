"""The few distributions of DreamerV3, as functions of their logits or moments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets import fast
from harmony_dreamerv3.nets.layers import full

Array = jax.Array


def symlog(x: Array) -> Array:
    """sign(x) log(1 + |x|)."""
    return jnp.sign(x) * jnp.log1p(jnp.abs(x))


def symexp(x: Array) -> Array:
    """sign(x) (exp|x| - 1), the inverse of `symlog`."""
    return jnp.sign(x) * jnp.expm1(jnp.abs(x))


def unimix(logits: Array, mix: float) -> Array:
    """Log-probabilities `[..., C]` of softmax, `mix` in [0, 1) of it uniform, in full precision."""
    logits = full(logits)
    if not mix:
        return jax.nn.log_softmax(logits, -1)
    probs = (1.0 - mix) * jax.nn.softmax(logits, -1) + mix / logits.shape[-1]
    return jnp.log(probs)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def onehot_draw(
    logits: Array, noise: Array, probs: Callable[[Array], Array] = jax.nn.softmax
) -> Array:
    """One-hot draw `[..., C]` by the Gumbel trick, whose gradient is that of the probabilities.

    Args:
      logits: log-probabilities `[..., C]`.
      noise: Gumbel noise `[..., C]`; zeros give the mode.
      probs: probabilities of logits; `jnp.exp` where these are normalised.
    """
    return jax.nn.one_hot(jnp.argmax(logits + noise, -1), logits.shape[-1], dtype=logits.dtype)


@onehot_draw.defjvp
def _straight_through(probs: Any, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # Written as a sum with probabilities less themselves, these would be computed for every draw.
    return onehot_draw(*primals, probs), jax.jvp(probs, primals[:1], tangents[:1])[1]


def categorical_kl(p_logits: Array, q_logits: Array) -> Array:
    """KL(p || q) of normalised log-probabilities `[..., S, C]`, summed over S: `[...]`."""
    return (jnp.exp(p_logits) * (p_logits - q_logits)).sum((-2, -1))


def categorical_entropy(logits: Array) -> Array:
    """Entropy in nats of normalised log-probabilities `[..., C]`: `[...]`."""
    return -(jnp.exp(logits) * logits).sum(-1)


def binary_log_prob(logits: Array, value: Array) -> Array:
    """Bernoulli log-likelihood of `value` in {0, 1} under `logits`, elementwise."""
    return value * jax.nn.log_sigmoid(logits) + (1.0 - value) * jax.nn.log_sigmoid(-logits)


def normal_entropy(std: Array) -> Array:
    """Entropy in nats of a diagonal Gaussian with `std` `[..., A]`: `[...]`."""
    return (0.5 * jnp.log(2.0 * jnp.pi * jnp.e) + jnp.log(std)).sum(-1)


def twohot_bins(count: int, dtype: Any = jnp.float32) -> Array:
    """The bins of the two-hot head in symlog space: `[count]` from -20 to 20."""
    return jnp.linspace(-20.0, 20.0, count, dtype=dtype)


def twohot_mean(logits: Array) -> Array:
    """Prediction `[...]` of a two-hot head `[..., K]`: symexp of the expected bin."""
    logits = full(logits)
    # Divided once for each mean instead of once for each bin.
    weights = jnp.exp(logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True)))
    bins = twohot_bins(logits.shape[-1], logits.dtype)
    return symexp((weights * bins).sum(-1) / weights.sum(-1))


def twohot_target(value: Array, count: int) -> Array:
    """Weights `[..., K]` of the two of `count` (K) bins beside symlog of a value `[...]`.

    They sum to one; beyond the outermost bins all weight lies on the outermost one.
    """
    x = symlog(full(value))
    return fast.interpolate(x, twohot_bins(count, x.dtype))


def twohot_loss(logits: Array, value: Array) -> Array:
    """Cross-entropy `[...]` in nats of a two-hot head `[..., K]` to a target `[...]`, held."""
    logits, x = full(logits), symlog(full(value))
    return fast.twohot_loss(logits, x, twohot_bins(logits.shape[-1], x.dtype))
