"""Encoder and decoder of the 2025 base.

Images shrink by max-pooling and grow by repeating pixels, or by strides (`strided`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from embodied.core.env import STANDARD_SPACES
from embodied.core.errors import UserError
from embodied.core.space import Space
from harmony_dreamerv3.config.dreamerv3_2025 import CoderConfig, DecoderConfig, EncoderConfig
from harmony_dreamerv3.nets.layers import Array, full
from harmony_dreamerv3.nets.rms_layers import RMSMLP, BlockLinear, Conv, Linear, RMSNorm
from harmony_dreamerv3.nets.vectors import classes, vectorise

Spaces = Mapping[str, Space]
STAGES = (2, 3, 4, 4)  # channels of the encoder's stages in multiples of the depth


class Encoder(nn.Module):
    """Tokens of all image and vector keys."""

    config: EncoderConfig  # sizes
    images: Spaces  # spaces of the image keys, (H, W, C) uint8
    vectors: Spaces  # spaces of the other keys
    dtype: Any = jnp.float32  # of the computation

    @nn.compact
    def __call__(self, obs: Mapping[str, Array]) -> Array:
        """Embeds observations `[..., *shape]` as `[..., E]`, vectors first."""
        c, tokens = self.config, []
        lead = obs["is_first"].shape
        if self.vectors:
            keys = sorted(self.vectors)
            parts = [vectorise(obs[k], self.vectors[k], c.symlog) for k in keys]
            x = jnp.concatenate(parts, -1).astype(self.dtype)
            for i in range(c.layers):
                x = Linear(c.units, dtype=self.dtype, name=f"mlp{i}")(x)
                x = nn.silu(RMSNorm(name=f"mlp{i}norm")(x))
            tokens.append(x)
        if self.images:
            # Sorted here; the decoder splits channels in the order of the space.
            x = jnp.concatenate([obs[key] for key in sorted(self.images)], -1)
            x = x.reshape(-1, *x.shape[-3:]).astype(self.dtype) / 255.0 - 0.5
            for i, times in enumerate(STAGES):
                x = self._stage(i, times * c.depth, x)
            tokens.append(x.reshape(*lead, -1))
        return jnp.concatenate(tokens, -1)

    def _stage(self, i: int, depth: int, x: Array) -> Array:
        c = self.config
        halve = not (c.outer and i == 0)
        stride = 2 if halve and c.strided else 1
        x = Conv(depth, stride, dtype=self.dtype, name=f"cnn{i}")(x)
        if halve and not c.strided:
            n, height, width, _ = x.shape
            # A plain maximum: where pixels tie, they share its gradient.
            x = x.reshape(n, height // 2, 2, width // 2, 2, depth).max((2, 4))
        return nn.silu(RMSNorm(name=f"cnn{i}norm")(x))


class Decoder(nn.Module):
    """Reconstruction of image and vector keys."""

    config: DecoderConfig  # sizes
    # Spaces of the image keys, all of one height and width, in the order of the space.
    images: Spaces
    vectors: Spaces  # spaces of the other keys
    dtype: Any = jnp.float32  # of the computation

    @nn.compact
    def __call__(self, deter: Array, stoch: Array) -> dict[str, Array]:
        """Reconstructs observations.

        Args:
          deter: `[..., D]`.
          stoch: `[..., S, C]`.

        Returns:
          In full precision: images `[..., H, W, C]` in [0, 1]; vectors in symlog space; of discrete
          keys logits `[..., *shape, classes]`.
        """
        c, outputs = self.config, {}
        stoch = stoch.reshape(*deter.shape[:-1], -1)
        # Unlike the heads, which see deter first.
        feat = jnp.concatenate([stoch, deter], -1)
        if self.vectors:
            x = RMSMLP(c.layers, c.units, self.dtype, name="mlp")(feat)
            predictions = Predictions(self.vectors, self.dtype, name="vec")(x)
            outputs.update(predictions)
        if self.images:
            channels = [space.shape[-1] for space in self.images.values()]
            height, width = next(iter(self.images.values())).shape[:2]
            x = self._start(feat, deter, stoch, height, width)
            image = full(self._grow(x, sum(channels)))
            image = nn.sigmoid(image).reshape(*deter.shape[:-1], height, width, sum(channels))
            splits = [sum(channels[: i + 1]) for i in range(len(channels) - 1)]
            outputs.update(zip(self.images, jnp.split(image, splits, -1), strict=True))
        return outputs

    def _start(self, feat: Array, deter: Array, stoch: Array, height: int, width: int) -> Array:
        """The first map `[N, h, w, 4 depth]`."""
        c = self.config
        factor = shrinkage(c)
        h, w, depth = height // factor, width // factor, STAGES[-1] * c.depth
        if not c.bspace:
            x = Linear(h * w * depth, dtype=self.dtype, name="space")(feat)
            x = x.reshape(-1, h, w, depth)
            return nn.silu(RMSNorm(name="spacenorm")(x))
        x0 = BlockLinear(h * w * depth, c.bspace, deter.shape[-1:], self.dtype, name="sp0")(deter)
        # Each block is a map of some of the channels.
        x0 = x0.reshape(-1, c.bspace, h, w, depth // c.bspace)
        x0 = jnp.moveaxis(x0, 1, 3).reshape(-1, h, w, depth)
        x1 = Linear(2 * c.units, dtype=self.dtype, name="sp1")(stoch)
        x1 = nn.silu(RMSNorm(name="sp1norm")(x1))
        x1 = Linear(h * w * depth, dtype=self.dtype, name="sp2")(x1)
        return nn.silu(RMSNorm(name="spnorm")(x0 + x1.reshape(-1, h, w, depth)))

    def _grow(self, x: Array, channels: int) -> Array:
        """From the first map to logits of the pixels."""
        c = self.config
        for i in reversed(range(len(STAGES) - 1)):
            x = Conv(STAGES[i] * c.depth, dtype=self.dtype, name=f"conv{i}")(self._double(x))
            x = nn.silu(RMSNorm(name=f"conv{i}norm")(x))
        return Conv(channels, dtype=self.dtype, name="imgout")(x if c.outer else self._double(x))

    def _double(self, x: Array) -> Array:
        if not self.config.strided:
            return x.repeat(2, -2).repeat(2, -3)
        # A transposed convolution: values on odd rows and columns, zeros between them.
        n, height, width, channels = x.shape
        return jnp.zeros((n, 2 * height, 2 * width, channels), x.dtype).at[:, 1::2, 1::2].set(x)


class Predictions(nn.Module):
    """One affine output for each vector key."""

    spaces: Spaces
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> dict[str, Array]:
        """Maps `[..., units]` to outputs in the shapes that `Decoder` returns."""
        return {key: Prediction(s, self.dtype, name=key)(x) for key, s in self.spaces.items()}


class Prediction(nn.Module):
    """The affine output of one vector key."""

    space: Space
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., units]` to `[..., *shape]`, of discrete keys `[..., *shape, classes]`."""
        count, shape = classes(self.space), self.space.shape
        shape = (*shape, count) if count else shape
        name = "logits" if count else "pred"
        out = Linear(math.prod(shape), dtype=self.dtype, name=name)(x)
        return full(out).reshape(*x.shape[:-1], *shape)


def shrinkage(config: EncoderConfig | DecoderConfig) -> int:
    """How many times smaller than the image its smallest map is."""
    return 2 ** (len(STAGES) - config.outer)


def matching(spaces: Spaces, config: CoderConfig) -> tuple[Spaces, Spaces]:
    """Spaces of the images and of all other observations that a coder's patterns choose."""
    keys = [k for k in spaces if k not in STANDARD_SPACES and k[:4] != "log_"]
    images = [k for k in keys if len(spaces[k].shape) == 3 and re.match(config.cnn_keys, k)]
    vectors = [k for k in keys if len(spaces[k].shape) < 3 and re.match(config.mlp_keys, k)]
    return {k: spaces[k] for k in images}, {k: spaces[k] for k in vectors}


def check_spaces(
    side: str, config: EncoderConfig | DecoderConfig, images: Spaces, vectors: Spaces
) -> None:
    """Raises UserError for observations that a coder, `encoder` or `decoder`, cannot take."""
    if not images and not vectors:
        raise UserError(
            f"{side}.cnn_keys {config.cnn_keys!r} and {side}.mlp_keys {config.mlp_keys!r} match no "
            "observation beside reward and flags"
        )
    if len({space.shape[:2] for space in images.values()}) > 1:
        shapes = {key: space.shape for key, space in images.items()}
        raise UserError(f"{side}: expected images of one size, got {shapes}")
    factor = shrinkage(config)
    for key, space in images.items():
        if space.dtype != np.uint8 or any(not n or n % factor for n in space.shape[:2]):
            raise UserError(
                f"image {key!r} is {space.dtype} {space.shape}; expected uint8 with height and "
                f"width multiples of {factor}"
            )
    blocks = getattr(config, "bspace", 0)
    if images and blocks and STAGES[-1] * config.depth % blocks:
        depth = STAGES[-1] * config.depth
        raise UserError(f"decoder.bspace must divide 4 decoder.depth ({depth}), got {blocks}")
    for key, space in vectors.items():
        if space.dtype.kind in "iu" and space.dtype != np.uint8 and space.high is None:
            raise UserError(
                f"observation {key!r} is {space}; expected integers with an upper bound"
            )
