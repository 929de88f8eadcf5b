"""Prototypes in the place of a decoder (DreamerPro): clustering of two shifted views.

Every view's embedding is assigned to prototypes by an exponentially moving copy of the encoder and
by Sinkhorn's balancing; the other view's embedding (SwAV) and the view's own latent state
(temporal loss) must predict the assignment. Source: Deng et al. (ICML 2022); HarmonyDream Eq. 16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets.affine import Affine
from harmony_dreamerv3.nets.layers import Array, full

sg = jax.lax.stop_gradient


class Projections(nn.Module):
    """Projections of embeddings and of latent features, and the prototypes."""

    count: int  # number K of prototypes
    dim: int  # size P of a projection
    dtype: Any = jnp.float32  # dtype of the computation; results have full precision

    def setup(self) -> None:
        """Names the layers."""
        self.obs_proj = Affine(self.dim, dtype=self.dtype)
        self.feat_proj = Affine(self.dim, dtype=self.dtype)
        init = nn.initializers.normal(1.0)
        self.prototypes = self.param("prototypes", init, (self.count, self.dim), jnp.float32)

    def __call__(self, embed: Array, feat: Array) -> tuple[Array, Array, Array]:
        """Projections `[..., P]` of `embed` `[..., E]` and `feat` `[..., F]`; prototypes."""
        return full(self.obs_proj(embed)), full(self.feat_proj(feat)), full(self.prototypes)

    def project(self, embed: Array) -> Array:
        """Projection `[..., P]` of embeddings alone."""
        return full(self.obs_proj(embed))


def unit(x: Array) -> Array:
    """Scales the last axis to length one: x / sqrt(max(sum x^2, 1e-12))."""
    return x * jax.lax.rsqrt(jnp.maximum(jnp.square(x).sum(-1, keepdims=True), 1e-12))


def with_unit(params: Any) -> Any:
    """A model's parameters with prototypes of length one, as an update starts.

    No gradient passes through that: it is by the scaled prototypes themselves.
    """
    return _at_prototypes(unit, params)


def without_frozen(grads: Any, frozen: Array) -> Any:
    """A model's gradients without those of the prototypes while these are `frozen`, `[]` bool."""
    return _at_prototypes(lambda x: jnp.where(frozen, 0.0, x), grads)


def _at_prototypes(change: Callable[[Array], Array], tree: Any) -> Any:
    return jax.tree_util.tree_map_with_path(
        lambda path, x: change(x) if path[-1].key == "prototypes" else x, tree
    )


def shift(images: Array, offset: Array) -> Array:
    """Translates images: out(y, x) = in(y - dy, x - dx), bilinear, clamped at the edges.

    Args:
      images: `[B, T, H, W, C]`.
      offset: `[B, 2]` in pixels, dx before dy; the same for all steps of a window.

    Returns:
      `[B, T, H, W, C]`.
    """

    def along(x: Array, delta: Array, axis: int) -> Array:
        """One axis; a translation moves the axes one after the other."""
        size = x.shape[axis]
        place = jnp.clip(jnp.arange(size, dtype=delta.dtype) - delta, 0, size - 1)
        low = jnp.floor(place)
        part = (place - low).astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1 - axis))
        low = low.astype(jnp.int32)
        near = jnp.take(x, low, axis)
        return near + part * (jnp.take(x, jnp.minimum(low + 1, size - 1), axis) - near)

    def one(x: Array, offset: Array) -> Array:
        return along(along(x, offset[1], 1), offset[0], 2)

    return jax.vmap(one)(images, offset)


def sinkhorn(scores: Array, eps: float, iterations: int) -> Array:
    """Assignments of samples to prototypes, all of which are used about equally.

    Args:
      scores: `[..., K]`; all other axes are samples.
      eps: temperature; small ones give hard assignments.
      iterations: how often rows and columns are balanced.

    Returns:
      Probabilities `[..., K]`, without gradient.
    """
    log = jax.nn.log_softmax(sg(scores).reshape(-1, scores.shape[-1]) / eps, (0, 1))
    samples, count = log.shape
    for _ in range(iterations):
        log -= jax.nn.logsumexp(log, 0, keepdims=True) + jnp.log(jnp.asarray(count, log.dtype))
        log -= jax.nn.logsumexp(log, 1, keepdims=True) + jnp.log(jnp.asarray(samples, log.dtype))
    return jnp.exp(log + jnp.log(jnp.asarray(samples, log.dtype))).reshape(scores.shape)


def losses(
    obs_proj: Array,
    feat_proj: Array,
    target_proj: Array,
    prototypes: Array,
    *,
    temperature: float,
    eps: float,
    iterations: int,
    warm_up: int,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """SwAV, temporal and norm losses.

    Args:
      obs_proj: projections of embeddings `[2 B, T, P]`, the first view in the first B rows.
      feat_proj: projections of latent features, alike.
      target_proj: projections by the moving copy of encoder and projection, alike.
      prototypes: `[K, P]`, of length one.
      temperature: of the predictions.
      eps: of the assignments.
      iterations: of Sinkhorn's balancing.
      warm_up: first steps of a window that SwAV and temporal loss leave out.

    Returns:
      `{swav, temp, norm}`, the first two `[B, T - warm_up]` averaged over views, the last a scalar;
      and what they were computed from.
    """

    def scores(proj: Array) -> Array:
        return unit(proj)[:, warm_up:] @ prototypes.T

    log_pu = jax.nn.log_softmax(scores(obs_proj) / temperature, -1)
    log_pv = jax.nn.log_softmax(scores(feat_proj) / temperature, -1)
    target = jnp.split(scores(target_proj), 2)  # balanced within each view
    first, second = (sinkhorn(view, eps, iterations) for view in target)
    cross = jnp.concatenate([second, first])  # predicted by the other view's embedding
    same = jnp.concatenate([first, second])  # and by the same view's latent state

    def over_views(loss: Array) -> Array:
        return jnp.stack(jnp.split(loss, 2)).mean(0)

    lengths = [jnp.linalg.norm(x, axis=-1) for x in (obs_proj, feat_proj)]
    norms = [jnp.square(length - 1.0).mean() for length in lengths]
    values = {
        "swav": over_views(-(cross * log_pu).sum(-1)),
        "temp": over_views(-(same * log_pv).sum(-1)),
        "norm": norms[0] + norms[1],
    }
    return values, {"log_pu": log_pu, "log_pv": log_pv, "q": same, "norms": jnp.stack(norms)}
