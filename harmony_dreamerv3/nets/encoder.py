"""Encoder of images and vectors."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from harmony_dreamerv3.nets.conv import downsample
from harmony_dreamerv3.nets.distributions import symlog
from harmony_dreamerv3.nets.layers import MLP, Array, Norm, full, normal_avg


class Downsample(nn.Module):
    """4x4 convolution of stride 2 without bias, layer norm over channels, SiLU."""

    channels: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[N, H, W, C]` to `[N, H / 2, W / 2, channels]`."""
        shape = (4, 4, x.shape[-1], self.channels)
        kernel = self.param("kernel", normal_avg(), shape, jnp.float32)
        x = nn.silu(Norm(name="norm")(downsample(x, kernel.astype(self.dtype))))
        return x


class Encoder(nn.Module):
    """Joint embedding of all image and vector keys.

    Attributes:
      cnn_keys: image keys, concatenated over channels.
      mlp_keys: vector keys, passed through symlog and concatenated.
      depth: channels after the first convolution; doubled by each further one.
      minres: height and width at which the convolutions end.
      layers: layers of the vector network.
      units: its width.
      dtype: dtype of the computation.
    """

    cnn_keys: tuple[str, ...]
    mlp_keys: tuple[str, ...]
    depth: int
    minres: int
    layers: int
    units: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: dict[str, Array]) -> Array:
        """Embeds observations.

        Args:
          obs: images `[..., H, W, C]` uint8, vectors `[..., V]` float32.

        Returns:
          `[..., E]`, images first.
        """
        outputs = []
        if self.cnn_keys:
            images = jnp.concatenate([obs[key] for key in self.cnn_keys], -1)
            lead = images.shape[:-3]
            x = images.reshape(-1, *images.shape[-3:]).astype(self.dtype) / 255.0 - 0.5
            stage = 0
            while x.shape[-2] > self.minres:
                x = Downsample(self.depth * 2**stage, self.dtype, name=f"cnn{stage}")(x)
                stage += 1
            outputs.append(x.reshape(*lead, -1))
        if self.mlp_keys:
            lead = obs["is_first"].shape
            vectors = [full(obs[key]).reshape(*lead, -1) for key in self.mlp_keys]
            x = symlog(jnp.concatenate(vectors, -1))
            outputs.append(MLP(self.layers, self.units, self.dtype, name="mlp")(x))
        return jnp.concatenate(outputs, -1)
