"""Vector observations of the 2025 base: as inputs, and as what is reconstructed.

Continuous ones are squashed by symlog; discrete ones, integers and booleans, are one-hot.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from embodied.core.space import Space
from harmony_dreamerv3.nets.distributions import symlog
from harmony_dreamerv3.nets.layers import Array, full


def classes(space: Space) -> int:
    """Number of values of a discrete space, 0 for a continuous one; missing values do not count."""
    if space.dtype == bool:
        return 2
    if space.dtype.kind not in "iu":
        return 0
    high = np.iinfo(space.dtype).max if space.high is None else space.high
    return int(high) + 1


def vectorise(value: Array, space: Space, squash: bool) -> Array:
    """One observation as a vector.

    Args:
      value: `[..., *shape]`.
      space: of one step.
      squash: apply symlog to continuous values.

    Returns:
      `[..., V]` float32. Where any cell of a step is missing (-1, or -inf), all are zero.
    """
    lead = value.shape[: value.ndim - len(space.shape)]
    flat = value.reshape(*lead, -1)
    if count := classes(space):
        missing = (flat.astype(jnp.int32) == -1).any(-1, keepdims=True)
        flat = jax.nn.one_hot(flat.astype(jnp.int32), count).reshape(*lead, -1)
    else:
        flat = full(flat)
        missing = (flat == -jnp.inf).any(-1, keepdims=True)
        flat = symlog(flat) if squash else flat
    return jnp.where(missing, 0.0, flat)


def vector_loss(out: Array, target: Array, space: Space) -> Array:
    """Squared error in symlog space, or cross-entropy of a discrete key, summed over the shape.

    Args:
      out: the decoder's output.
      target: `[..., *shape]`; a missing one (-1) of a discrete key counts 0.
      space: of one step.

    Returns:
      `[...]`.
    """
    if count := classes(space):
        onehot = jax.nn.one_hot(target.astype(jnp.int32), count, dtype=out.dtype)
        cells = -(onehot * jax.nn.log_softmax(out, -1)).sum(-1)
    else:
        cells = jnp.square(out - symlog(full(target)))
    return cells.sum(tuple(range(cells.ndim - len(space.shape), cells.ndim)))
