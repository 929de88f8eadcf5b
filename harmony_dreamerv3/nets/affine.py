"""The affine layer of all bases but that of 2023, whose input may come in pieces (flax.linen)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from harmony_dreamerv3.nets import fast
from harmony_dreamerv3.nets.layers import Array, Initializer, uniform_avg


class Affine(nn.Module):
    """Affine layer, Xavier-uniform with zero bias unless told otherwise."""

    units: int  # size of the output
    kernel_init: Initializer = uniform_avg()  # initializer of the kernel
    bias_init: Initializer = nn.initializers.zeros  # initializer of the bias
    sizes: tuple[int, ...] = ()  # of the pieces of the input; () for one of any size
    dtype: Any = jnp.float32  # dtype of the computation and of the result

    @nn.compact
    def __call__(self, *pieces: Any, ahead: int | None = None) -> Any:
        """Maps an input to `[..., units]`.

        Args:
          *pieces: `[..., sizes[i]]`, which are concatenated, or what this has made of them.
          ahead: project only the piece of this index, which is the one given, before a loop.
        """
        pieces = cast(pieces, self.dtype)
        sizes = self.sizes or (pieces[0].shape[-1],)
        kernel = self.param("kernel", self.kernel_init, (sum(sizes), self.units), jnp.float32)
        bias = self.param("bias", self.bias_init, (self.units,), jnp.float32)
        kernel = kernel.astype(self.dtype)
        if ahead is not None:
            return fast.project(self, kernel, sizes, ahead, *pieces)
        return fast.product(self, kernel, sizes, pieces) + bias.astype(self.dtype)


def cast(pieces: tuple[Any, ...], dtype: Any) -> tuple[Any, ...]:
    """Pieces of an input in the dtype of a product; projected ones are so already."""
    return tuple(x.astype(dtype) if isinstance(x, Array) else x for x in pieces)
