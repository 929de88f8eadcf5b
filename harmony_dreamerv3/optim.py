"""Optimizers: clipping by global norm, then Adam."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from harmony_dreamerv3.config.dreamerv3 import OptConfig


def make(config: OptConfig) -> optax.GradientTransformationExtraArgs:
    """Returns clip_by_global_norm followed by Adam with betas 0.9 and 0.999.

    `update` takes `finite`, a bool: where it is false, nothing changes.
    """
    return optax.chain(
        optax.clip_by_global_norm(config.clip), _adam(config.eps), optax.scale(-config.lr)
    )


def _adam(eps: float) -> optax.GradientTransformationExtraArgs:
    """Adam that stands still where `finite` is false.

    It does so by decays of one, so that moments are written in place. Choosing between old and
    new moments afterwards would keep both in memory.
    """

    def update(
        grads: Any, state: Any, params: Any = None, *, finite: Any = True, **_: Any
    ) -> tuple[Any, Any]:
        decays = [jnp.where(finite, decay, 1.0) for decay in (0.9, 0.999)]
        grads = jax.tree.map(lambda g: jnp.where(finite, g, 0), grads)
        updates, new = optax.scale_by_adam(*decays, eps=eps).update(grads, state)
        updates = jax.tree.map(lambda u: jnp.where(finite, u, 0), updates)
        return updates, new._replace(count=jnp.where(finite, new.count, state.count))

    init = optax.scale_by_adam(b1=0.9, b2=0.999, eps=eps).init
    return optax.GradientTransformationExtraArgs(init, update)
