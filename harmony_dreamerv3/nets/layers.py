"""Initializers, dense layers and norms of DreamerV3 (flax.linen).

Every layer computes in `dtype` (float32 or bfloat16); parameters, layer norms and the outputs of
output layers stay float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets import fast

Array = jax.Array
Initializer = Callable[[Array, Sequence[int], Any], Array]
TRUNCATED_STD = 0.87962566103423978  # of a unit normal truncated to [-2, 2]


def mean_fan(shape: Sequence[int]) -> float:
    """Mean of fan-in and fan-out of a kernel `[..., in, out]`; space counts for both."""
    return math.prod(shape[:-2]) * (shape[-2] + shape[-1]) / 2


def normal_avg(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    """Draws from a normal of variance 1 / mean fan, truncated on two standard deviations."""
    std = math.sqrt(1.0 / mean_fan(shape)) / TRUNCATED_STD
    return std * jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype)


def uniform_avg(outscale: float = 1.0) -> Initializer:
    """Uniform of variance outscale / mean fan; 0 gives zeros."""

    def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        if outscale == 0.0:
            return jnp.zeros(shape, dtype)
        limit = math.sqrt(3.0 * outscale / mean_fan(shape))
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init


def run(module: nn.Module, params: Any, *args: Any, **kwargs: Any) -> Any:
    """Applies a module to its parameters."""
    return module.apply({"params": params}, *args, **kwargs)


def full(x: Array) -> Array:
    """Returns `x` in full precision: float32, or float64 where it has that already."""
    return x.astype(full_dtype(x.dtype))


def full_dtype(dtype: Any) -> Any:
    """The dtype that `full` gives to an array of `dtype`."""
    return jnp.float64 if dtype == jnp.float64 else jnp.float32


class Norm(nn.Module):
    """Layer norm over the last axis with scale and bias, epsilon 1e-3, in full precision."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., C]` to `[..., C]` of the same dtype."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],), jnp.float32)
        return (fast.normalize(full(x)) * scale + bias).astype(x.dtype)


class Linear(nn.Module):
    """Affine output layer, initialised uniformly."""

    units: int
    outscale: float = 1.0  # of the initializer's variance; 0 gives zeros
    dtype: Any = jnp.float32  # of the product's inputs; the sum and the bias have full precision

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., I]` to `[..., units]` in full precision."""
        shape = (x.shape[-1], self.units)
        kernel = self.param("kernel", uniform_avg(self.outscale), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.units,), jnp.float32)
        return _full_product(x.astype(self.dtype), kernel.astype(self.dtype)) + bias


class Dense(nn.Module):
    """Linear map without bias, layer norm, SiLU. The input may come in pieces."""

    sizes: tuple[int, ...]  # of the pieces
    units: int
    silu: bool = True
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Declares the parameters."""
        shape = (sum(self.sizes), self.units)
        self.kernel = self.param("kernel", normal_avg, shape, jnp.float32)
        self.norm = Norm()

    def project(self, index: int, x: Array) -> Array | fast.Projected:
        """Multiplies one piece `[..., sizes[index]]` ahead of time, before a loop."""
        kernel = self.kernel.astype(self.dtype)
        return fast.project(self, kernel, self.sizes, index, x.astype(self.dtype))

    def __call__(self, *pieces: Array | fast.Projected) -> Array:
        """Maps pieces `[..., sizes[i]]`, as they are or projected, to `[..., units]`."""
        pieces = tuple(x.astype(self.dtype) if isinstance(x, Array) else x for x in pieces)
        y = self.norm(fast.product(self, self.kernel.astype(self.dtype), self.sizes, pieces))
        return fast.silu(y) if self.silu else y


class MLP(nn.Module):
    """A stack of as many `Dense` layers, each `units` wide, named h0, h1, ..."""

    layers: int
    units: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., I]` to `[..., units]`."""
        for index in range(self.layers):
            x = Dense((x.shape[-1],), self.units, dtype=self.dtype, name=f"h{index}")(x)
        return x


@jax.custom_vjp
def _full_product(x: Array, kernel: Array) -> Array:
    """`x @ kernel` summed in full precision and not rounded after that."""
    return jnp.matmul(x, kernel, preferred_element_type=full_dtype(x.dtype))


# Its derivatives are products of the inputs' dtype again, fast ones in bfloat16.
_full_product.defvjp(
    lambda x, kernel: (_full_product(x, kernel), (x, kernel)),
    lambda saved, dy: jax.vjp(fast.matmul, *saved)[1](dy.astype(saved[0].dtype)),
)
