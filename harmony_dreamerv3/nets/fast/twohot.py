"""Cross-entropy to the two bins beside a target, without the table of all log-probabilities.

It is log Σ exp(logits) less the two logits that count, interpolated; its derivative is
probabilities less the weights of the bins, written as hats: each bin's weight falls linearly from 1
at the bin to 0 at its neighbours, so that no index is looked up for it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from harmony_dreamerv3.nets.fast.switch import is_plain

Array = jax.Array


def twohot_loss(logits: Array, x: Array, bins: Array) -> Array:
    """Cross-entropy in nats; no gradient passes to the target.

    Args:
      logits: `[..., K]`, unnormalised, in full precision.
      x: targets `[...]`; beyond the outermost bins all weight lies on the outermost one.
      bins: `[K]`, ascending, at least two.

    Returns:
      `[...]`.
    """
    if is_plain():
        logp = jax.nn.log_softmax(logits, -1)
        return -(lax.stop_gradient(interpolate(x, bins)) * logp).sum(-1)
    return _loss(logits, jnp.clip(lax.stop_gradient(x), bins[0], bins[-1]), bins)


def interpolate(x: Array, bins: Array) -> Array:
    """Weights `[..., K]` of the two of K ascending `bins` beside each `x` `[...]`."""
    count = len(bins)
    below = jnp.clip((bins <= x[..., None]).sum(-1) - 1, 0, count - 1)
    above = jnp.clip(count - (bins > x[..., None]).sum(-1), 0, count - 1)
    equal = below == above
    to_below = jnp.where(equal, 1.0, jnp.abs(bins[below] - x))
    to_above = jnp.where(equal, 1.0, jnp.abs(bins[above] - x))
    total = to_below + to_above
    hot_below = jax.nn.one_hot(below, count, dtype=x.dtype) * (to_above / total)[..., None]
    hot_above = jax.nn.one_hot(above, count, dtype=x.dtype) * (to_below / total)[..., None]
    return hot_below + hot_above


def _hats(x: Array, bins: Array) -> Array:
    """What `interpolate` gives for `x` between the outermost bins."""
    # Bins beyond the outermost ones let these fall on both sides, too.
    ends = jnp.concatenate([2 * bins[:1] - bins[1:2], bins, 2 * bins[-1:] - bins[-2:-1]])
    slope, x = 1 / (ends[1:] - ends[:-1]), x[..., None]
    rising, falling = (x - ends[:-2]) * slope[:-1], (ends[2:] - x) * slope[1:]
    return jnp.maximum(0, jnp.minimum(rising, falling))


def _look_up(z: Array, x: Array, bins: Array) -> Array:
    below = jnp.clip(jnp.searchsorted(bins, x, side="right") - 1, 0, len(bins) - 2)
    low, high = bins[below], bins[below + 1]
    share, index = (x - low) / (high - low), below[..., None]
    at_low, at_high = (jnp.take_along_axis(z, i, -1)[..., 0] for i in (index, index + 1))
    return at_low + share * (at_high - at_low)


def _add_up(z: Array, x: Array, bins: Array) -> Array:
    return (_hats(x, bins) * z).sum(-1)


@jax.custom_vjp
def _loss(logits: Array, x: Array, bins: Array) -> Array:
    return _forward(logits, x, bins)[0]


def _forward(logits: Array, x: Array, bins: Array) -> tuple[Array, Any]:
    z = logits - logits.max(-1, keepdims=True)
    total = jnp.exp(z).sum(-1)
    at_x = lax.platform_dependent(z, x, bins, cpu=_look_up, default=_add_up)
    return jnp.log(total) - at_x, (z, total, x, bins)


def _backward(saved: Any, by_loss: Array) -> tuple[Array, None, None]:
    z, total, x, bins = saved
    by_loss = by_loss[..., None]
    return by_loss / total[..., None] * jnp.exp(z) - by_loss * _hats(x, bins), None, None


_loss.defvjp(_forward, _backward)
