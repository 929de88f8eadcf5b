"""Moving statistics of the 2025 base, by which returns, targets and advantages are normalised.

A state is a dictionary of scalars: `lo` and `hi` of `perc`, `mean` and `sqrs` of `meanstd`, and
`corr` where the averages are debiased; empty for `none`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from harmony_dreamerv3.config.dreamerv3_2025 import NormConfig

Array = jax.Array
NormState = dict[str, Array]
NAMES = {"perc": ("lo", "hi"), "meanstd": ("mean", "sqrs"), "none": ()}


def init(config: NormConfig, dtype: Any) -> NormState:
    """The start: all zero."""
    names = NAMES[config.impl]
    corr = ("corr",) if config.debias and names else ()
    return {name: jnp.zeros((), dtype) for name in (*names, *corr)}


def update(state: NormState, x: Array, config: NormConfig) -> NormState:
    """Moves the averages towards the statistics of `x`, of any shape; no gradient."""
    x = jax.lax.stop_gradient(x)
    if config.impl == "none":
        return state
    if config.impl == "perc":
        lo, hi = jnp.percentile(x, jnp.array([config.perclo, config.perchi]))
        new = {"lo": lo, "hi": hi}
    else:
        new = {"mean": x.mean(), "sqrs": jnp.square(x).mean()}
    new["corr"] = jnp.ones((), x.dtype)
    rate = config.rate
    return {name: (1 - rate) * value + rate * new[name] for name, value in state.items()}


def stats(state: NormState, config: NormConfig) -> tuple[Array | float, Array | float]:
    """Offset and divisor; the divisor is at least `config.limit`."""
    if config.impl == "none":
        return 0.0, 1.0
    # What batches have contributed so far; before the first one, the averages are zero anyway.
    corr = jnp.maximum(config.rate, state["corr"]) if config.debias else 1.0
    first, second = (state[name] / corr for name in NAMES[config.impl])
    if config.impl == "perc":
        return first, jnp.maximum(config.limit, second - first)
    std = jnp.sqrt(jnp.maximum(second - jnp.square(first), 0.0))
    return first, jnp.maximum(config.limit, std)
