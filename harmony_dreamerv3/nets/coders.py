"""Encoder and decoder of images and vectors, and the decoder's losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from harmony_dreamerv3.config.dreamerv3 import CoderConfig
from harmony_dreamerv3.nets import fast
from harmony_dreamerv3.nets.distributions import symlog
from harmony_dreamerv3.nets.layers import MLP, Array, Linear, Norm, full, normal_avg, uniform_avg


class Downsample(nn.Module):
    """4x4 convolution of stride 2 without bias, layer norm over channels, SiLU."""

    channels: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[N, H, W, C]` to `[N, H / 2, W / 2, channels]`."""
        shape = (4, 4, x.shape[-1], self.channels)
        kernel = self.param("kernel", normal_avg, shape, jnp.float32).astype(self.dtype)
        return fast.silu(Norm(name="norm")(fast.downsample(x, kernel)))


class Encoder(nn.Module):
    """Joint embedding of images, concatenated over channels, and vectors, concatenated in symlog.

    The first convolution makes `config.cnn_depth` channels and each further one doubles them, down
    to the height and width `config.minres`.
    """

    cnn_keys: tuple[str, ...]
    mlp_keys: tuple[str, ...]
    config: CoderConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: Mapping[str, Array]) -> Array:
        """Embeds images `[..., H, W, C]` uint8 and vectors `[..., *shape]` into `[..., E]`."""
        outputs, lead, c = [], obs["is_first"].shape, self.config
        if self.cnn_keys:
            images = jnp.concatenate([obs[key] for key in self.cnn_keys], -1)
            x = images.reshape(-1, *images.shape[-3:]).astype(self.dtype) / 255.0 - 0.5
            stage = 0
            while x.shape[-2] > c.minres:
                x = Downsample(c.cnn_depth * 2**stage, self.dtype, name=f"cnn{stage}")(x)
                stage += 1
            outputs.append(x.reshape(*lead, -1))
        if self.mlp_keys:
            vectors = [full(obs[key]).reshape(*lead, -1) for key in self.mlp_keys]
            x = symlog(jnp.concatenate(vectors, -1))
            outputs.append(MLP(c.mlp_layers, c.mlp_units, self.dtype, name="mlp")(x))
        return jnp.concatenate(outputs, -1)


class Upsample(nn.Module):
    """Transposed convolution, then layer norm and SiLU, or a bias in the last one."""

    channels: int
    last: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[N, H, W, C]` to `[N, 2 H, 2 W, channels]`."""
        shape = (4, 4, self.channels, x.shape[-1])
        init = uniform_avg() if self.last else normal_avg
        kernel = self.param("kernel", init, shape, jnp.float32).astype(self.dtype)
        x = fast.upsample(x, kernel)
        if self.last:
            return full(x) + self.param("bias", nn.initializers.zeros, x.shape[-1:], jnp.float32)
        return fast.silu(Norm(name="norm")(x))


class Decoder(nn.Module):
    """Reconstruction of images `(H, W, C)` and vectors, by key, from latent features.

    Transposed convolutions start at the height and width `config.minres`, and halve the channels
    down to `config.cnn_depth` before the last one.
    """

    images: Mapping[str, tuple[int, ...]]
    vectors: Mapping[str, tuple[int, ...]]
    config: CoderConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, feat: Array) -> dict[str, Array]:
        """From `[..., F]`, in full precision: images as x / 255, vectors in symlog space."""
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
    """Squared error `[...]`, summed over `[..., H, W, C]`, of x / 255; the target is uint8."""
    return jnp.square(mean - target.astype(mean.dtype) / 255.0).sum((-3, -2, -1))


def vector_loss(mean: Array, target: Array, dims: int) -> Array:
    """Squared error `[...]` in symlog space, summed over the last `dims` axes, a vector's shape.

    `mean` is in symlog space, `target` in the observation's units.
    """
    distance = jnp.square(mean - symlog(full(target)))
    distance = jnp.where(distance < 1e-8, 0.0, distance)  # So small ones count as none.
    return distance.sum(tuple(range(distance.ndim - dims, distance.ndim)))
