"""Initializers, dense and convolutional layers of DreamerV3 (flax.linen).

Every layer computes in `dtype` (float32 or bfloat16); parameters and layer norms stay
float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Array = jax.Array
Weights = dict[str, Any]  # of layers by name, as `deferred.Layers` applies them
Initializer = Callable[[Array, Sequence[int], Any], Array]

# The standard deviation of a unit normal truncated to [-2, 2].
TRUNCATED_STD = 0.87962566103423978


def fans(shape: Sequence[int], transposed: bool = False) -> tuple[int, int]:
    """Returns fan-in and fan-out of a kernel.

    Args:
      shape: `(in, out)`, `(height, width, in, out)`, or `(height, width, out, in)` when
        transposed.
      transposed: whether the last two axes are out, in.

    Returns:
      The two fans; for convolutions spatial size times channels.
    """
    space = math.prod(shape[:-2])
    fan_in, fan_out = shape[-2] * space, shape[-1] * space
    return (fan_out, fan_in) if transposed else (fan_in, fan_out)


def normal_avg(scale: float = 1.0, transposed: bool = False) -> Initializer:
    """Truncated normal on two standard deviations, variance `scale` over the mean fan."""

    def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        fan = sum(fans(shape, transposed)) / 2
        std = math.sqrt(scale / fan) / TRUNCATED_STD
        return std * jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype)

    return init


def uniform_avg(scale: float = 1.0, transposed: bool = False) -> Initializer:
    """Uniform of limit sqrt(3 * scale / mean fan); `scale` 0 gives zeros."""

    def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        if scale == 0.0:
            return jnp.zeros(shape, dtype)
        limit = math.sqrt(3.0 * scale / (sum(fans(shape, transposed)) / 2))
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init


def run(module: nn.Module, params: Any, *args: Any, **kwargs: Any) -> Any:
    """Applies a module to its parameters."""
    return module.apply({"params": params}, *args, **kwargs)


def full(x: Array) -> Array:
    """Returns `x` in float32, or in float64 where it is that already."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def normalise(x: Array, eps: float = 1e-3) -> Array:
    """Shifts and scales the last axis to mean 0 and variance 1, in full precision."""
    x = full(x)
    centred = x - x.mean(-1, keepdims=True)
    var = (centred * centred).mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(var + eps)


def layer_norm(x: Array, scale: Array, bias: Array) -> Array:
    """Normalises the last axis in full precision and returns `x`'s dtype."""
    return (normalise(x) * scale + bias).astype(x.dtype)


class Norm(nn.Module):
    """Layer norm over the last axis with scale and bias, epsilon 1e-3, in float32."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., C]` to `[..., C]`."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],), jnp.float32)
        return layer_norm(x, scale, bias)


class Linear(nn.Module):
    """Affine output layer, initialised uniformly.

    Attributes:
      units: size of the output.
      outscale: variance scale of the initializer; 0 gives zeros.
      dtype: dtype of the computation and of the result.
    """

    units: int
    outscale: float = 1.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., I]` to `[..., units]`."""
        shape = (x.shape[-1], self.units)
        kernel = self.param("kernel", uniform_avg(self.outscale), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.units,), jnp.float32)
        return x.astype(self.dtype) @ kernel.astype(self.dtype) + bias.astype(self.dtype)


class Dense(nn.Module):
    """Linear map without bias, layer norm, SiLU.

    Attributes:
      units: size of the output.
      dtype: dtype of the computation and of the result.
    """

    units: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., I]` to `[..., units]`."""
        kernel = self.param("kernel", normal_avg(), (x.shape[-1], self.units), jnp.float32)
        return nn.silu(Norm(name="norm")(x.astype(self.dtype) @ kernel.astype(self.dtype)))


class MLP(nn.Module):
    """A stack of `Dense` layers named h0, h1, ...

    Attributes:
      layers: how many.
      units: width of each.
      dtype: dtype of the computation.
    """

    layers: int
    units: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., I]` to `[..., units]`."""
        for index in range(self.layers):
            x = Dense(self.units, self.dtype, name=f"h{index}")(x)
        return x


class DenseWeights(nn.Module):
    """Parameters of a linear map followed by a layer norm, not applied."""

    shape: tuple[int, int]

    @nn.compact
    def __call__(self) -> Weights:
        """Returns `{kernel: [I, O], norm: {scale: [O], bias: [O]}}`."""
        return {
            "kernel": self.param("kernel", normal_avg(), self.shape, jnp.float32),
            "norm": NormWeights(self.shape[-1], name="norm")(),
        }


class NormWeights(nn.Module):
    """Scale and bias of a layer norm, not applied."""

    units: int

    @nn.compact
    def __call__(self) -> Weights:
        """Returns `{scale: [O], bias: [O]}`."""
        return {
            "scale": self.param("scale", nn.initializers.ones, (self.units,), jnp.float32),
            "bias": self.param("bias", nn.initializers.zeros, (self.units,), jnp.float32),
        }


class AffineWeights(nn.Module):
    """Parameters of an affine output layer, not applied."""

    shape: tuple[int, int]
    outscale: float = 1.0

    @nn.compact
    def __call__(self) -> Weights:
        """Returns `{kernel: [I, O], bias: [O]}`."""
        return {
            "kernel": self.param("kernel", uniform_avg(self.outscale), self.shape, jnp.float32),
            "bias": self.param("bias", nn.initializers.zeros, self.shape[-1:], jnp.float32),
        }


class MLPWeights(nn.Module):
    """Parameters of an `MLP`, not applied."""

    inputs: int
    layers: int
    units: int

    @nn.compact
    def __call__(self) -> Weights:
        """Returns `{h0: {kernel: [I, O]}, h0_norm: {scale: [O], bias: [O]}, h1: ...}`."""
        weights: Weights = {}
        for index in range(self.layers):
            shape = (self.units if index else self.inputs, self.units)
            layer = DenseWeights(shape, name=f"h{index}")()
            weights |= {f"h{index}": {"kernel": layer["kernel"]}, f"h{index}_norm": layer["norm"]}
        return weights
