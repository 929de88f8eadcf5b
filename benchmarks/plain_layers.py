"""Layers, encoder and decoder of the plain update, from flax.linen. FROZEN."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets import distributions as dist
from harmony_dreamerv3.world_model import WorldModel

Array = jax.Array
Params = dict[str, Any]


def norm(p: Params, x: Array) -> Array:
    layer = nn.LayerNorm(epsilon=1e-3, use_fast_variance=False)
    return layer.apply({"params": p}, x)


def linear(p: Params, x: Array) -> Array:
    """Affine map; `p` = {kernel[, bias]}."""
    layer = nn.Dense(p["kernel"].shape[-1], use_bias="bias" in p)
    return layer.apply({"params": p}, x)


def dense(p: Params, x: Array) -> Array:
    """Linear map, layer norm, SiLU; `p` = {kernel, norm}."""
    return nn.silu(norm(p["norm"], linear({"kernel": p["kernel"]}, x)))


def mlp(p: Params, x: Array) -> Array:
    for index in range(len(p)):
        x = dense(p[f"h{index}"], x)
    return x


def head(p: Params, feat: Array) -> Array:
    return linear(p["out"], mlp(p["mlp"], feat))


def conv(p: Params, x: Array) -> Array:
    """4x4, stride 2, then norm and SiLU; kernel [4, 4, in, out]."""
    layer = nn.Conv(p["kernel"].shape[-1], (4, 4), 2, "SAME", use_bias=False)
    return nn.silu(norm(p["norm"], layer.apply({"params": {"kernel": p["kernel"]}}, x)))


def conv_transpose(p: Params, x: Array) -> Array:
    """4x4, stride 2, then norm and SiLU, or a bias; kernel [4, 4, out, in]."""
    kernel = {"kernel": p["kernel"].swapaxes(-1, -2)}
    if "bias" in p:
        kernel["bias"] = p["bias"]
    layer = nn.ConvTranspose(p["kernel"].shape[-2], (4, 4), (2, 2), "SAME", use_bias="bias" in p)
    x = layer.apply({"params": kernel}, x)
    return nn.silu(norm(p["norm"], x)) if "norm" in p else x


def flat(x: Array) -> Array:
    return x.reshape(*x.shape[:-2], -1)


def features(state: Params) -> Array:
    return jnp.concatenate([state["deter"], flat(state["stoch"])], -1)


def encode(wm: WorldModel, p: Params, batch: Params) -> Array:
    outputs = []
    if wm.encoder.cnn_keys:
        x = jnp.concatenate([batch[k] for k in wm.encoder.cnn_keys], -1)
        lead = x.shape[:-3]
        x = x.reshape(-1, *x.shape[-3:]).astype(wm.dtype) / 255.0 - 0.5
        for stage in range(sum(key.startswith("cnn") for key in p)):
            x = conv(p[f"cnn{stage}"], x)
        outputs.append(x.reshape(*lead, -1))
    if wm.encoder.mlp_keys:
        lead = batch["is_first"].shape
        parts = [batch[k].reshape(*lead, -1) for k in wm.encoder.mlp_keys]
        x = jnp.concatenate(parts, -1).astype(wm.dtype)
        outputs.append(mlp(p["mlp"], dist.symlog(x)))
    return jnp.concatenate(outputs, -1)


def decode(wm: WorldModel, p: Params, feat: Array) -> dict[str, Array]:
    recon, lead = {}, feat.shape[:-1]
    if wm.images:
        side = wm.config.decoder.minres
        x = linear(p["cnn_in"], feat).reshape(-1, side, side, p["cnn0"]["kernel"].shape[-1])
        for stage in range(sum(key.startswith("cnn") for key in p) - 1):
            x = conv_transpose(p[f"cnn{stage}"], x)
        x = x.reshape(*lead, *x.shape[1:]) + 0.5
        start = 0
        for key, shape in wm.images.items():
            recon[key] = x[..., start : start + shape[-1]]
            start += shape[-1]
    if wm.vectors:
        x = mlp(p["mlp"], feat)
        for key, shape in wm.vectors.items():
            recon[key] = linear(p[f"vector_{key}"], x).reshape(*lead, *shape)
    return recon
