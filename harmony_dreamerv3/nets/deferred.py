"""Loops whose weight gradients are one product after the loop.

Differentiating `lax.scan` adds dW += x_t^T dy_t in every step of the backward loop: a thin
product and a pass over all weights, step after step. `scan` here lets only what recurs run
backwards (dy_t and the carry), keeps x_t and dy_t, and then computes dW = sum_t x_t^T dy_t as
one large product. Values and gradients are the same up to the order of the sum.

Where nothing recurs backwards, a loop can run without gradient and keep what its layers gave:
`Layers(..., known=...)` then computes their gradient over all steps at once without computing their
products again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets.layers import Array, Weights, full, normalise

Body = Callable[["Layers", Any, Any], tuple[Any, Any]]


class Layers:
    """Weights of linear maps `{kernel[, bias]}` and norms `{scale, bias}`, applied by name.

    Args:
      weights: by name.
      dtype: dtype of the products; norms and biases have full precision.
      taps: by name, an argument in whose place the derivative by that layer's output appears;
        None outside of `scan`.
      known: outputs of linear maps, by name, that need not be computed again.
    """

    def __init__(
        self,
        weights: Weights,
        dtype: Any,
        taps: dict[str, Array] | None = None,
        known: dict[str, Array] | None = None,
    ) -> None:
        self.dtype, self.taps, self.known = dtype, taps, known or {}
        self.weights = {
            name: {k: v.astype(dtype) if k == "kernel" else v for k, v in layer.items()}
            for name, layer in weights.items()
        }
        self.inputs: dict[str, Array] = {}  # what each layer was multiplied with
        self.outputs: dict[str, Array] = {}

    def linear(self, name: str, x: Array) -> Array:
        """Maps `[..., I]` to `[..., O]`, in full precision where there is a bias."""
        layer = self.weights[name]
        known = self.known.get(name)
        y = _linear(layer, x) if known is None else _recalled(layer, x, known)
        return self._tap(name, x, y)

    def norm(self, name: str, x: Array) -> Array:
        """Layer norm of the last axis."""
        layer, normal = self.weights[name], normalise(x)
        y = self._tap(name, normal, normal * layer["scale"] + layer["bias"])
        return y.astype(x.dtype)

    def _tap(self, name: str, x: Array, y: Array) -> Array:
        if name in self.inputs:
            raise ValueError(f"the layer {name!r} is applied twice in one step")
        self.inputs[name], self.outputs[name] = x, y
        return y if self.taps is None else _tapped(y, self.taps[name])


def _linear(layer: dict[str, Array], x: Array) -> Array:
    y = x @ layer["kernel"]
    return full(y) + layer["bias"] if "bias" in layer else y


@jax.custom_vjp
def _recalled(layer: dict[str, Array], x: Array, y: Array) -> Array:
    """`_linear(layer, x)`, known to be `y`."""
    del layer, x
    return y


def _recalled_forward(layer: dict[str, Array], x: Array, y: Array) -> tuple[Array, Any]:
    return y, (layer, x)


def _recalled_backward(saved: Any, by_y: Array) -> Any:
    return (*jax.vjp(_linear, *saved)[1](by_y), jnp.zeros_like(by_y))


_recalled.defvjp(_recalled_forward, _recalled_backward)


@jax.custom_jvp
def _tapped(y: Array, tap: Array) -> Array:
    """`y + tap` for a tap of zeros, which costs nothing."""
    del tap
    return y


@_tapped.defjvp
def _tapped_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    return primals[0], tangents[0] + tangents[1]


def scan(body: Body, weights: Weights, carry: Any, xs: Any, dtype: Any) -> tuple[Any, Any]:
    """`lax.scan` with deferred weight gradients.

    Args:
      body: `(layers, carry, x) -> (carry, y)`, which applies each of the weights once, through
        `layers`, and closes over no array.
      weights: see `Layers`.
      carry: first carry.
      xs: inputs `[T, ...]`.
      dtype: dtype of the products.

    Returns:
      The last carry and outputs `[T, ...]`.
    """

    def loop(weights: Weights, carry: Any, xs: Any) -> tuple[Any, Any]:
        layers = Layers(weights, dtype)
        return jax.lax.scan(lambda c, x: body(Layers(layers.weights, dtype), c, x), carry, xs)

    def forward(weights: Weights, carry: Any, xs: Any) -> tuple[Any, Any]:
        cast = Layers(weights, dtype).weights  # once, not in every step

        def tapped(taps: dict[str, Array], carry: Any, xs: Any) -> tuple[Any, Any]:
            def step(carry: Any, x: Any) -> tuple[Any, Any]:
                layers = Layers(cast, dtype, x[1])
                carry, y = body(layers, carry, x[0])
                return carry, (y, layers.inputs)

            carry, (ys, inputs) = jax.lax.scan(step, carry, (xs, taps))
            return (carry, ys), inputs

        taps = _taps(body, cast, carry, xs, dtype)
        out, pull, inputs = jax.vjp(tapped, taps, carry, xs, has_aux=True)
        return out, (pull, inputs)

    def backward(saved: Any, cotangent: Any) -> tuple[Any, Any, Any]:
        pull, inputs = saved
        by_output, carry, xs = pull(cotangent)
        grads = {
            name: _gradient(layer, inputs[name], by_output[name]) for name, layer in weights.items()
        }
        return grads, carry, xs

    run = jax.custom_vjp(loop)
    run.defvjp(forward, backward)
    return run(weights, carry, xs)


def _taps(body: Body, weights: Weights, carry: Any, xs: Any, dtype: Any) -> dict[str, Array]:
    """Zeros `[T, ...]` in the shapes of the layers' outputs."""

    def outputs(carry: Any, x: Any) -> dict[str, Array]:
        layers = Layers(weights, dtype)
        body(layers, carry, x)
        return layers.outputs

    steps = len(jax.tree.leaves(xs)[0])
    shapes = jax.eval_shape(outputs, carry, jax.tree.map(lambda x: x[0], xs))
    return {name: jnp.zeros((steps, *y.shape), y.dtype) for name, y in shapes.items()}


def _gradient(layer: dict[str, Array], x: Array, dy: Array) -> dict[str, Array]:
    """Gradient of one layer from all its inputs and the derivatives by its outputs."""
    x, dy = (a.reshape(-1, a.shape[-1]) for a in (x, dy))
    if "kernel" not in layer:
        return {"scale": (x * dy).sum(0), "bias": dy.sum(0)}
    kernel = layer["kernel"]
    # A bias is added in full precision, the product before it has the dtype of its inputs.
    product = jax.lax.dot_general(
        x, dy.astype(x.dtype), (((0,), (0,)), ((), ())), preferred_element_type=kernel.dtype
    )
    return {"kernel": product, **({"bias": dy.sum(0)} if "bias" in layer else {})}
