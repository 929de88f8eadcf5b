"""Decoder of images and vectors, and their losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from harmony_dreamerv3.config.dreamerv3 import CoderConfig
from harmony_dreamerv3.nets import fast
from harmony_dreamerv3.nets.distributions import symexp, symlog
from harmony_dreamerv3.nets.layers import MLP, Array, Linear, Norm, full, normal_avg, uniform_avg


class Upsample(nn.Module):
    """Transposed convolution, then layer norm and SiLU, or a bias in the last one."""

    channels: int
    last: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[N, H, W, C]` to `[N, 2 H, 2 W, channels]`."""
        shape = (4, 4, self.channels, x.shape[-1])
        init = uniform_avg() if self.last else normal_avg()
        kernel = self.param("kernel", init, shape, jnp.float32).astype(self.dtype)
        x = fast.upsample(x, kernel)
        if self.last:
            return full(x) + self.param("bias", nn.initializers.zeros, x.shape[-1:], jnp.float32)
        return nn.silu(Norm(name="norm")(x))


class Decoder(nn.Module):
    """Reconstruction of image and vector keys from latent features.

    Attributes:
      images: shape `(H, W, C)` of each image key.
      vectors: shape of each vector key.
      config: height and width `minres` at which the transposed convolutions start, channels
        before the last one, halved by each; layers and width of the vector network.
      dtype: dtype of the computation.
    """

    images: Mapping[str, tuple[int, ...]]
    vectors: Mapping[str, tuple[int, ...]]
    config: CoderConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, feat: Array) -> dict[str, Array]:
        """Reconstructs observations.

        Args:
          feat: `[..., D + S * C]`.

        Returns:
          In full precision: images `[..., H, W, C]` as x / 255; vectors in symlog space.
        """
        outputs: dict[str, Array] = {}
        if self.images:
            shapes = list(self.images.values())
            size, channels = shapes[0][0], [shape[-1] for shape in shapes]
            image = self._image(feat, size, sum(channels)) + 0.5
            splits = [sum(channels[: i + 1]) for i in range(len(channels) - 1)]
            outputs.update(zip(self.images, jnp.split(image, splits, -1), strict=True))
        if self.vectors:
            x = MLP(self.config.mlp_layers, self.config.mlp_units, self.dtype, name="mlp")(feat)
            for key, shape in self.vectors.items():
                out = Linear(math.prod(shape), dtype=self.dtype, name=f"vector_{key}")(x)
                outputs[key] = out.reshape(*feat.shape[:-1], *shape)
        return outputs

    def _image(self, feat: Array, size: int, channels: int) -> Array:
        side = self.config.minres
        stages = int(math.log2(size // side))
        depth = self.config.cnn_depth * 2 ** (stages - 1)
        x = Linear(side**2 * depth, dtype=self.dtype, name="cnn_in")(feat)
        x = x.astype(self.dtype).reshape(-1, side, side, depth)
        for stage in range(stages):
            depth //= 2
            last = stage == stages - 1
            out = channels if last else depth
            x = Upsample(out, last, self.dtype, name=f"cnn{stage}")(x)
        return x.reshape(*feat.shape[:-1], size, size, channels)


def image_loss(mean: Array, target: Array) -> Array:
    """Squared error of images, summed over pixels and channels.

    Args:
      mean: `[..., H, W, C]`, in the units of x / 255.
      target: `[..., H, W, C]` uint8.

    Returns:
      `[...]`.
    """
    return jnp.square(mean - target.astype(mean.dtype) / 255.0).sum((-3, -2, -1))


def vector_loss(mean: Array, target: Array, dims: int, tolerance: float = 1e-8) -> Array:
    """Squared error in symlog space, summed over the vector.

    Args:
      mean: `[..., *shape]` in symlog space.
      target: `[..., *shape]` in the observation's units.
      dims: number of axes of the vector's own shape, summed over.
      tolerance: squared distances below it count as zero.

    Returns:
      `[...]`.
    """
    distance = jnp.square(mean - symlog(full(target)))
    distance = jnp.where(distance < tolerance, 0.0, distance)
    return distance.sum(tuple(range(distance.ndim - dims, distance.ndim)))


def vector_mean(mean: Array) -> Array:
    """Prediction in the observation's units."""
    return symexp(mean)
