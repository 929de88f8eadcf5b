"""Return normalisation by moving percentiles."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from harmony_dreamerv3.config.dreamerv3 import RetnormConfig

Array = jax.Array


class ReturnScale(NamedTuple):
    """Moving averages of the low and the high percentile of imagined returns, scalars."""

    low: Array
    high: Array

    @classmethod
    def zeros(cls, dtype: jnp.dtype) -> ReturnScale:
        """The start: both zero, without bias correction."""
        return cls(jnp.zeros((), dtype), jnp.zeros((), dtype))


def update(state: ReturnScale, returns: Array, config: RetnormConfig) -> ReturnScale:
    """Moves the averages towards the percentiles of these returns.

    Args:
      state: averages before.
      returns: any shape; all entries count alike, interpolated linearly.
      config: decay and percentiles.
    """
    returns = jax.lax.stop_gradient(returns)
    low, high = jnp.percentile(returns, jnp.array([config.perclo, config.perchi]))
    decay = config.decay
    return ReturnScale(
        decay * state.low + (1 - decay) * low, decay * state.high + (1 - decay) * high
    )


def offset_and_scale(state: ReturnScale, config: RetnormConfig) -> tuple[Array, Array]:
    """What is subtracted from returns and what divides them, at least `config.max`."""
    return state.low, jnp.maximum(config.max, state.high - state.low)
