"""Products of a concatenated input, some of whose pieces are known before a loop begins.

`concatenate([a, b]) @ kernel` is `a @ kernel[:A] + b @ kernel[A:]`. Where b is known for all steps,
its share is one large product before the loop instead of a thin one in every step. The kernel is
split before the loop, too (`prepared`): compilers would copy its pieces in every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets.fast.products import matmul
from harmony_dreamerv3.nets.fast.switch import is_plain

Array = jax.Array
Variables = dict[str, Any]


class Projected(NamedTuple):
    """A piece of an input, already multiplied by its rows of the kernel."""

    y: Array  # [..., O]


def project(layer: nn.Module, kernel: Array, sizes: Sequence[int], index: int, x: Array) -> Any:
    """Multiplies piece `index`, `x`, ahead of `product`; the plain twin leaves it as it is."""
    return x if is_plain() else Projected(matmul(x, _rows(layer, kernel, sizes)[index]))


def product(layer: nn.Module, kernel: Array, sizes: Sequence[int], pieces: Sequence[Any]) -> Array:
    """`concatenate(pieces, -1) @ kernel`, `[..., O]`, of a layer's kernel `[sum(sizes), O]`.

    Pieces are `[..., sizes[i]]`, or what `project` made of them.
    """
    known = any(isinstance(x, Projected) for x in pieces)
    if not (known or layer.is_mutable_collection("rows")):
        return matmul(jnp.concatenate(pieces, -1), kernel)
    rows = _rows(layer, kernel, sizes)
    shares = [x.y if isinstance(x, Projected) else matmul(x, rows[i]) for i, x in enumerate(pieces)]
    return sum(shares[1:], shares[0])


def cast(params: Any, dtype: Any) -> Any:
    """Parameters whose kernels have the dtype of products, ahead of a loop; norms stay."""
    return jax.tree_util.tree_map_with_path(
        lambda path, x: x.astype(dtype) if path[-1].key == "kernel" else x, params
    )


def prepared(module: nn.Module, params: Any, dtype: Any) -> Variables:
    """Variables of a module whose kernels are cast and split once, ahead of a loop.

    Called without arguments, the module must use all its layers; its products are of `dtype`.
    """
    variables = {"params": cast(params, dtype)}
    if is_plain():
        return variables
    return {**variables, **module.apply(variables, mutable=["rows"])[1]}


def _rows(layer: nn.Module, kernel: Array, sizes: Sequence[int]) -> tuple[Array, ...]:
    """The rows of a kernel that belong to each piece, as `prepared` left them or split here."""
    if layer.has_variable("rows", "kernel"):
        return layer.get_variable("rows", "kernel")
    rows = tuple(jnp.split(kernel, list(accumulate(sizes))[:-1]))
    if layer.is_mutable_collection("rows"):
        layer.put_variable("rows", "kernel", rows)
    return rows
