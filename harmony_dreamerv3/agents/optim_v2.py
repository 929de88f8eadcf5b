"""Adam with weight decay as the codes of DreamerV2 (torch) and DreamerPro (TensorFlow) have it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from harmony_dreamerv3.config.dreamerv2 import OptConfig

BETAS = (0.9, 0.999)


def make(config: OptConfig, plain: tuple[str, ...] = ()) -> optax.GradientTransformationExtraArgs:
    """Clipping by global norm, then Adam with weight decay; stands still unless `finite`.

    `coupled` (HarmonyDream's torch code): the gradient is clipped by min(1, c / (norm + 1e-6)),
    gets wd p added, and Adam's epsilon stands beside the corrected root: m^ / (sqrt(v^) + eps).

    `decoupled` (DreamerPro's TensorFlow code): p <- (1 - wd) p before the step, whose epsilon
    stands beside the uncorrected root: sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps).

    Args:
      config: rates and kinds.
      plain: top-level names of parameters that a decoupled decay leaves alone.
    """
    coupled = config.decay == "coupled"

    def init(params: Any) -> optax.ScaleByAdamState:
        zeros = [optax.tree.zeros_like(params) for _ in range(2)]
        return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), *zeros)

    def update(
        grads: Any, state: Any, params: Any = None, *, finite: Any = True, **_: Any
    ) -> tuple[Any, Any]:
        norm = optax.tree.norm(grads)
        factor = jnp.minimum(1.0, config.clip / (norm + (1e-6 if coupled else 0.0)))
        factor = jnp.where(norm > 0, factor, 1.0)
        grads = jax.tree.map(lambda g: jnp.where(finite, g * factor, 0), grads)
        if coupled:
            grads = jax.tree.map(lambda g, p: g + config.wd * p, grads, params)
        # Decays of one leave moments as they are, in place (see `optim`).
        decays = [jnp.where(finite, beta, 1.0) for beta in BETAS]
        mu, nu = (
            jax.tree.map(lambda m, g, b=b, k=k: b * m + (1 - b) * g**k, moment, grads)
            for moment, b, k in ((state.mu, decays[0], 1), (state.nu, decays[1], 2))
        )
        count = jnp.where(finite, optax.safe_increment(state.count), state.count)
        correct = [1 - beta ** jnp.maximum(count, 1).astype(norm.dtype) for beta in BETAS]
        rate = config.lr / correct[0]
        if coupled:
            root = jnp.sqrt(correct[1])
            step = jax.tree.map(lambda m, v: -rate * m / (jnp.sqrt(v) / root + config.eps), mu, nu)
        else:
            rate = rate * jnp.sqrt(correct[1])
            step = jax.tree.map(lambda m, v: -rate * m / (jnp.sqrt(v) + config.eps), mu, nu)
            step = jax.tree_util.tree_map_with_path(
                lambda path, u, p: u if path[0].key in plain else u - config.wd * p, step, params
            )
        step = jax.tree.map(lambda u: jnp.where(finite, u, 0), step)
        return step, optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformationExtraArgs(init, update)
