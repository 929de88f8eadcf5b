"""Products with block-diagonal kernels, some of whose inputs all blocks see.

Block g of the output is `concatenate([x_g, a, b]) @ kernel[g]`: its own slice of x, and inputs a
and b that are the same for all. Written so, a and b are copied for every block. Their rows of all
blocks side by side are one dense kernel, so that here each is multiplied once, and, where it is
known for all steps, before the loop (see `pieces`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets.fast.pieces import Projected
from harmony_dreamerv3.nets.fast.products import matmul
from harmony_dreamerv3.nets.fast.switch import is_plain

Array = jax.Array


def block_project(
    layer: nn.Module, kernel: Array, sizes: Sequence[int], index: int, x: Array
) -> Any:
    """Multiplies one shared input ahead of `block_product`; the plain twin leaves it as it is.

    Args:
      layer: to which the kernel belongs.
      kernel: `[G, sum(sizes), O / G]`.
      sizes: of a block's own input and of the shared ones.
      index: which one, from 1 on.
      x: `[..., sizes[index]]`.
    """
    return x if is_plain() else Projected(matmul(x, _rows(layer, kernel, sizes)[index]))


def block_product(
    layer: nn.Module, kernel: Array, sizes: Sequence[int], pieces: Sequence[Any]
) -> Array:
    """Multiplies an input whose first piece is cut into blocks.

    Args:
      layer: to which the kernel belongs.
      kernel: `[G, sum(sizes), O / G]`.
      sizes: of a block's own input and of the shared ones.
      pieces: `[..., G * sizes[0]]`, then `[..., sizes[i]]` or what `block_project` made of them.

    Returns:
      `[..., O]`.
    """
    own, *shared = pieces
    lead, groups = own.shape[:-1], len(kernel)
    own = own.reshape(*lead, groups, sizes[0])
    if is_plain():
        copies = [jnp.broadcast_to(x[..., None, :], (*lead, groups, x.shape[-1])) for x in shared]
        x = jnp.concatenate([own, *copies], -1)
        return jnp.einsum("...gi,gio->...go", x, kernel).reshape(*lead, -1)
    rows = _rows(layer, kernel, sizes)
    y = jnp.einsum("...gi,gio->...go", own, rows[0]).reshape(*lead, -1)
    for index, x in enumerate(shared, 1):
        y += x.y if isinstance(x, Projected) else matmul(x, rows[index])
    return y


def _rows(layer: nn.Module, kernel: Array, sizes: Sequence[int]) -> tuple[Array, ...]:
    """The blocks' own rows `[G, sizes[0], O / G]`, then shared ones `[sizes[i], O]`."""
    if layer.has_variable("rows", "kernel"):
        return layer.get_variable("rows", "kernel")
    own, *shared = jnp.split(kernel, list(accumulate(sizes))[:-1], 1)
    rows = (own, *(x.swapaxes(0, 1).reshape(x.shape[1], -1) for x in shared))
    if layer.is_mutable_collection("rows"):
        layer.put_variable("rows", "kernel", rows)
    return rows
