"""Two-hot distributions over bins that are symmetric and exponentially spaced.

Unlike `distributions.twohot_*` of the 2023 base, whose bins are even in symlog space and which
takes the mean there, bins and means here are in the units of the target.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets import fast
from harmony_dreamerv3.nets.distributions import symexp
from harmony_dreamerv3.nets.layers import Array, full


def bins(count: int, dtype: Any = jnp.float32) -> Array:
    """`[count]` bins, odd in number: symexp from -20 to 0 and its mirror image, 0 being exact."""
    negative = symexp(jnp.linspace(-20.0, 0.0, count // 2 + 1, dtype=dtype))
    return jnp.concatenate([negative, -negative[:-1][::-1]])


def mean(logits: Array) -> Array:
    """Expected bin `[...]` of logits `[..., K]`, in full precision.

    Mirrored bins are added first, so that uniform probabilities give exactly 0; a plain sum would
    leave the rounding error of bins as large as e^20.
    """
    probs = jax.nn.softmax(full(logits), -1)
    half = logits.shape[-1] // 2
    weighted = probs * bins(logits.shape[-1], probs.dtype)
    pairs = weighted[..., :half][..., ::-1] + weighted[..., half + 1 :]
    return weighted[..., half] + pairs.sum(-1)


def loss(logits: Array, target: Array) -> Array:
    """Cross-entropy in nats to the two bins beside a target.

    Args:
      logits: `[..., K]`, unnormalised.
      target: `[...]`; beyond the last bins all weight lies on the last one. No gradient.

    Returns:
      `[...]` in full precision.
    """
    logits, target = full(logits), full(target)
    return fast.twohot_loss(logits, target, bins(logits.shape[-1], logits.dtype))
