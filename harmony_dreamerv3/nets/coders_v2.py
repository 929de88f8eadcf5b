"""Encoder and decoder of DreamerV2: plain convolutions with ELU, no normalisation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from embodied.core.errors import UserError
from harmony_dreamerv3.config.dreamerv2 import CoderConfig
from harmony_dreamerv3.nets.affine import Affine
from harmony_dreamerv3.nets.layers import Array, full, uniform_avg
from harmony_dreamerv3.nets.layers_v2 import Mlp
from harmony_dreamerv3.nets.residual import STAGES, ResidualDecoder, ResidualEncoder
from harmony_dreamerv3.nets.strided import conv, size_after, spread

Shapes = dict[str, tuple[int, ...]]


class Convolution(nn.Module):
    """Convolution of stride 2 without padding, or its transpose, with bias."""

    channels: int  # of the output
    kernel: int  # height and width of the kernel
    size: int = 0  # of the output of a transposed convolution; 0 for a plain one
    dtype: Any = jnp.float32  # of the computation

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[N, H, W, I]` to `[N, H', W', channels]`."""
        channels = (self.channels, x.shape[-1]) if self.size else (x.shape[-1], self.channels)
        shape = (self.kernel, self.kernel, *channels)
        kernel = self.param("kernel", uniform_avg(), shape, jnp.float32).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,), jnp.float32)
        y = spread(x, kernel, self.size) if self.size else conv(x, kernel)
        return y + bias.astype(self.dtype)


def encoded_side(side: int, kernels: tuple[int, ...]) -> int:
    """Height and width after the encoder's convolutions; below 1 where they do not fit."""
    for kernel in kernels:
        side = size_after(side, kernel, 2, 0) if side >= kernel else 0
    return side


def decoded_side(kernels: tuple[int, ...]) -> int:
    """Height and width of what the decoder's transposed convolutions make of one pixel."""
    side = 1
    for kernel in kernels:
        side = 2 * (side - 1) + kernel
    return side


class Encoder(nn.Module):
    """Embedding of all image and vector keys."""

    cnn_keys: tuple[str, ...]  # image keys, concatenated over channels
    mlp_keys: tuple[str, ...]  # vector keys, concatenated
    config: CoderConfig  # kind and sizes of the layers; channels after the first convolution
    dtype: Any = jnp.float32  # of the computation

    @nn.compact
    def __call__(self, obs: Mapping[str, Array], train: bool = False) -> Array:
        """Embeds observations.

        Args:
          obs: images `[..., H, W, C]` as x / 255 - 0.5, vectors `[..., V]` or with two axes,
            `is_first` `[...]`.
          train: whether batch norms use the batch's statistics.

        Returns:
          `[..., E]`, images first.
        """
        c, lead, outputs = self.config, obs["is_first"].shape, []
        if self.cnn_keys:
            x = jnp.concatenate([obs[key] for key in self.cnn_keys], -1).astype(self.dtype)
            x = x.reshape(-1, *x.shape[-3:])
            if c.kind == "residual":
                x = ResidualEncoder(c.cnn_depth, self.dtype, name="cnn")(x, train)
            else:
                for index, kernel in enumerate(c.kernels):
                    depth, name = c.cnn_depth * 2**index, f"cnn{index}"
                    x = nn.elu(Convolution(depth, kernel, dtype=self.dtype, name=name)(x))
            outputs.append(x.reshape(*lead, -1))
        if self.mlp_keys:
            x = jnp.concatenate([full(obs[key]).reshape(*lead, -1) for key in self.mlp_keys], -1)
            outputs.append(Mlp(c.mlp_layers, c.mlp_units, self.dtype, name="mlp")(x))
        return jnp.concatenate(outputs, -1)


class Decoder(nn.Module):
    """Reconstruction of image and vector keys."""

    images: Mapping[str, tuple[int, ...]]  # shape `(H, W, C)` of each image key
    vectors: Mapping[str, tuple[int, ...]]  # shape of each vector key
    # Kind and sizes of the layers; channels before the last transposed convolution.
    config: CoderConfig
    dtype: Any = jnp.float32  # of the computation

    @nn.compact
    def __call__(self, feat: Array, train: bool = False) -> dict[str, Array]:
        """Reconstructs observations.

        Args:
          feat: `[..., F]`.
          train: whether batch norms use the batch's statistics.

        Returns:
          In full precision: images `[..., H, W, C]` as x / 255 - 0.5, vectors as they are.
        """
        outputs: dict[str, Array] = {}
        if self.images:
            shapes = list(self.images.values())
            size, channels = shapes[0][0], [shape[-1] for shape in shapes]
            x = self._image(feat.reshape(-1, feat.shape[-1]), size, sum(channels), train)
            image = full(x).reshape(*feat.shape[:-1], size, size, sum(channels))
            splits = [sum(channels[: i + 1]) for i in range(len(channels) - 1)]
            outputs.update(zip(self.images, jnp.split(image, splits, -1), strict=True))
        if self.vectors:
            x = Mlp(self.config.mlp_layers, self.config.mlp_units, self.dtype, name="mlp")(feat)
            for key, shape in self.vectors.items():
                out = Affine(math.prod(shape), dtype=self.dtype, name=f"vector_{key}")(x)
                outputs[key] = full(out).reshape(*feat.shape[:-1], *shape)
        return outputs

    def _image(self, feat: Array, size: int, channels: int, train: bool) -> Array:
        depth, kernels = self.config.cnn_depth, self.config.kernels
        if self.config.kind == "residual":
            return ResidualDecoder(depth, size, channels, self.dtype, name="cnn")(feat, train)
        x = Affine(32 * depth, dtype=self.dtype, name="cnn_in")(feat)
        x, side = x.reshape(-1, 1, 1, 32 * depth), 1
        for index, kernel in enumerate(kernels):
            left = len(kernels) - 1 - index
            side = 2 * (side - 1) + kernel
            out = depth * 2 ** (left - 1) if left else channels
            x = Convolution(out, kernel, side, self.dtype, name=f"cnn{index}")(x)
            x = nn.elu(x) if left else x
        return x


def check_coder(side: str, config: CoderConfig, images: Shapes, vectors: Shapes) -> None:
    """Raises UserError unless a coder has keys, and images of one size that it can halve or double.

    Args:
      side: `encoder` or `decoder`.
      config: of the coder.
      images: shapes `(H, W, C)` by key.
      vectors: shapes by key.
    """
    kind, kernels = config.kind, config.kernels
    if not images and not vectors:
        raise UserError(
            f"{side}.cnn_keys {config.cnn_keys!r} and {side}.mlp_keys {config.mlp_keys!r} "
            "match none of the observations"
        )
    if len({shape[0] for shape in images.values()}) > 1:
        raise UserError(f"{side}: images of several sizes: {images}")
    for key, (height, width, _) in images.items():
        multiple, target = 2 ** (STAGES + 1), decoded_side(kernels)
        if kind == "residual":
            fits, wanted = height % multiple == 0, f"a side that is a multiple of {multiple}"
        elif side == "encoder":
            fits = encoded_side(height, kernels) > 0
            wanted = f"a side that {side}.kernels {list(kernels)} leave something of"
        else:
            fits = height == target
            wanted = f"{target}x{target}, what {side}.kernels {list(kernels)} make of one pixel"
        if height != width or not height or not fits:
            raise UserError(f"image {key!r} is {height}x{width}; expected a square, of {wanted}")
