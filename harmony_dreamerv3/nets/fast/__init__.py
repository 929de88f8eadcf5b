"""What exists for speed alone: loops, split products, convolutions, each with a plain twin.

`plain(function)` is the function computed with the twins: `lax.scan`, products of whole inputs,
the library's convolutions and their derivatives. Values and gradients are the same up to the order
of sums (tests/harmony_dreamerv3/nets/fast), so that the plain version can be read, timed and
trusted. `--jax.fast False` trains it.
"""

from harmony_dreamerv3.nets.fast.blocks import block_product, block_project
from harmony_dreamerv3.nets.fast.conv import downsample, upsample
from harmony_dreamerv3.nets.fast.loop import scan
from harmony_dreamerv3.nets.fast.norm import normalize
from harmony_dreamerv3.nets.fast.pieces import Projected, cast, prepared, product, project
from harmony_dreamerv3.nets.fast.products import matmul
from harmony_dreamerv3.nets.fast.silu import silu
from harmony_dreamerv3.nets.fast.switch import plain
from harmony_dreamerv3.nets.fast.twohot import interpolate, twohot_loss

__all__ = [
    "Projected", "block_product", "block_project", "cast", "downsample", "interpolate", "matmul",
    "normalize", "plain", "prepared", "product", "project", "scan", "silu", "twohot_loss",
    "upsample",
]  # fmt: skip
