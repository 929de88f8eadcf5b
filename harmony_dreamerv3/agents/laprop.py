"""The optimizer of the 2025 base: AGC, LaProp, weight decay, warm-up."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from harmony_dreamerv3.config.dreamerv3_2025 import LaPropConfig


class LaPropState(NamedTuple):
    """Moments of LaProp."""

    steps: jax.Array  # [] int32, updates so far
    mu: Any  # like the parameters: average of normalised gradients
    nu: Any  # like the parameters: average of squared gradients


def make(config: LaPropConfig) -> optax.GradientTransformationExtraArgs:
    """Returns the chain AGC, LaProp, weight decay, times minus the learning rate.

    `update` takes `finite`, a bool: where it is false, nothing changes.
    """

    def init(params: Any) -> LaPropState:
        zeros = optax.tree.zeros_like(params)
        return LaPropState(jnp.zeros((), jnp.int32), zeros, zeros)

    def update(
        grads: Any, state: LaPropState, params: Any, *, finite: Any = True, **_: Any
    ) -> tuple[Any, LaPropState]:
        grads = jax.tree.map(lambda g: jnp.where(finite, g, 0), grads)
        grads = jax.tree.map(lambda g, p: _agc(g, p, config.agc), grads, params)
        # Moments stand still by decays of one, written in place.
        (b1, new1), (b2, new2) = (
            (jnp.where(finite, beta, 1.0), jnp.where(finite, 1 - beta, 0.0))
            for beta in (config.beta1, config.beta2)
        )
        done = state.steps + jnp.where(finite, 1, 0)
        steps = jnp.maximum(done, 1).astype(jnp.float32)
        # Normalise first, average second: the other way round would be Adam.
        nu = jax.tree.map(lambda v, g: b2 * v + new2 * (g * g), state.nu, grads)
        correct1, correct2 = (1 - beta**steps for beta in (config.beta1, config.beta2))
        normal = jax.tree.map(lambda g, v: g / (jnp.sqrt(v / correct2) + config.eps), grads, nu)
        mu = jax.tree.map(lambda m, n: b1 * m + new1 * n, state.mu, normal)
        # The first update has rate 0: it moves only the moments.
        warm = jnp.minimum(state.steps / config.warmup, 1.0) if config.warmup else 1.0
        rate = jnp.where(finite, config.lr * warm, 0.0)

        def change(path: Any, m: jax.Array, p: jax.Array) -> jax.Array:
            decay = config.wd * p if path[-1].key == "kernel" else 0.0
            return (-rate * (m / correct1 + decay)).astype(p.dtype)

        updates = jax.tree_util.tree_map_with_path(change, mu, params)
        return updates, LaPropState(done, mu, nu)

    return optax.GradientTransformationExtraArgs(init, update)


def _agc(grad: jax.Array, param: jax.Array, clip: float) -> jax.Array:
    """Adaptive gradient clipping of one whole tensor, biases and scales included."""
    if not clip:
        return grad
    limit = clip * jnp.maximum(1e-3, jnp.linalg.norm(param.reshape(-1)))
    norm = jnp.linalg.norm(grad.reshape(-1))
    return grad * jnp.minimum(1.0, limit / jnp.maximum(norm, 1e-38))
