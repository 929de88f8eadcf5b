"""Optimizers: clipping by global norm, then Adam."""

from __future__ import annotations

import optax

from harmony_dreamerv3.config import OptConfig


def make(config: OptConfig) -> optax.GradientTransformation:
    """Returns clip_by_global_norm followed by Adam with betas 0.9 and 0.999."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.scale_by_adam(b1=0.9, b2=0.999, eps=config.eps),
        optax.scale(-config.lr),
    )
