"""Normalisation over the last axis, and its derivative with few passes over memory."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from harmony_dreamerv3.nets.fast.switch import is_plain

Array = jax.Array
EPSILON = 1e-3


def normalize(x: Array) -> Array:
    """Shifts and scales the last axis, in full precision, to mean 0 and variance 1."""
    return _normalize(x, _mean_by_sum)[0] if is_plain() else _fast(x)


def _normalize(x: Array, mean: Any) -> tuple[Array, Array]:
    x = x - mean(x)
    scale = lax.rsqrt(mean(x * x) + EPSILON)
    return x * scale, scale


def _mean_by_sum(x: Array) -> Array:
    return x.mean(-1, keepdims=True)


def _mean(x: Array) -> Array:
    """Mean of the last axis, kept as one of size 1."""
    return lax.platform_dependent(x, cpu=_mean_by_product, default=_mean_by_sum)


def _mean_by_product(x: Array) -> Array:
    # CPUs sum short rows one number at a time.
    return x @ jnp.full((x.shape[-1], 1), 1 / x.shape[-1], x.dtype)


@jax.custom_vjp
def _fast(x: Array) -> Array:
    return _normalize(x, _mean)[0]


def _forward(x: Array) -> tuple[Array, Any]:
    y, scale = _normalize(x, _mean)
    return y, (y, scale)


def _backward(saved: Any, dy: Array) -> tuple[Array]:
    y, scale = saved
    # Both means are subtracted together: XLA gives a difference from the mean a GPU kernel of its
    # own, and the other mean another.
    constant, along = (scale * _mean(x) for x in (dy, dy * y))
    return (scale * dy - (constant + y * along),)


_fast.defvjp(_forward, _backward)
