"""Products of many rows with a kernel, whose derivative by the kernel needs no transposed copy.

JAX writes that derivative as the transpose of `dy^T x`, for which XLA on CPUs copies dy and leaves
its fast code for products.
"""

from __future__ import annotations

from typing import Any

import jax
from jax import lax

from harmony_dreamerv3.nets.fast.switch import is_plain

Array = jax.Array


def matmul(x: Array, kernel: Array) -> Array:
    """Multiplies `x` `[..., I]` with a kernel `[I, O]`: `[..., O]`."""
    return x @ kernel if is_plain() else _matmul(x, kernel)


@jax.custom_vjp
def _matmul(x: Array, kernel: Array) -> Array:
    return x @ kernel


def _forward(x: Array, kernel: Array) -> tuple[Array, Any]:
    return x @ kernel, (x, kernel)


def _backward(saved: Any, dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    rows = tuple(range(x.ndim - 1))
    return dy @ kernel.T, lax.dot_general(x, dy, ((rows, rows), ((), ())))


_matmul.defvjp(_forward, _backward)
