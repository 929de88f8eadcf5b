"""Encoder of images and vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from harmony_dreamerv3.config.dreamerv3 import CoderConfig
from harmony_dreamerv3.nets import fast
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
        kernel = self.param("kernel", normal_avg(), shape, jnp.float32).astype(self.dtype)
        return nn.silu(Norm(name="norm")(fast.downsample(x, kernel)))


class Encoder(nn.Module):
    """Joint embedding of all image and vector keys.

    Attributes:
      cnn_keys: image keys, concatenated over channels.
      mlp_keys: vector keys, passed through symlog and concatenated.
      config: channels after the first convolution, doubled by each further one, down to the height
        and width `minres`; layers and width of the vector network.
      dtype: dtype of the computation.
    """

    cnn_keys: tuple[str, ...]
    mlp_keys: tuple[str, ...]
    config: CoderConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: Mapping[str, Array]) -> Array:
        """Embeds observations.

        Args:
          obs: images `[..., H, W, C]` uint8, vectors `[..., *shape]`, and is_first `[...]`.

        Returns:
          `[..., E]`, images first.
        """
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
