"""SiLU whose value is computed once for all its readers.

XLA on CPUs repeats what is cheap, such as the product `x * sigmoid(x)`, in each reader, among them
the transposed copy that the derivative by the next kernel takes. A quotient it stores.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets.fast.switch import is_plain

Array = jax.Array


def silu(x: Array) -> Array:
    """x / (1 + exp(-x)), elementwise."""
    return jax.nn.silu(x) if is_plain() else _silu(x)


@jax.custom_vjp
def _silu(x: Array) -> Array:
    return x / (1 + jnp.exp(-x))


def _forward(x: Array) -> tuple[Array, Any]:
    return _silu(x), x


def _backward(x: Array, dy: Array) -> tuple[Array]:
    gate = 1 / (1 + jnp.exp(-x))
    return (dy * gate * (1 + x * (1 - gate)),)


_silu.defvjp(_forward, _backward)
