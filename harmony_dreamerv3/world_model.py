"""World model: named, unweighted losses of a batch, and imagined rollouts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp

from embodied.core.errors import UserError
from embodied.core.space import Space
from harmony_dreamerv3.config.checked import Keyed
from harmony_dreamerv3.config.dreamerv3 import AgentConfig, CoderConfig
from harmony_dreamerv3.nets import distributions as dist
from harmony_dreamerv3.nets import rssm
from harmony_dreamerv3.nets.coders import Decoder, Encoder, image_loss, vector_loss
from harmony_dreamerv3.nets.heads import Head
from harmony_dreamerv3.nets.layers import full, full_dtype, run
from harmony_dreamerv3.nets.rssm import RSSM, State

Array = jax.Array
Params = dict[str, Any]
Batch = Mapping[str, Array]
Shapes = dict[str, tuple[int, ...]]
sg = jax.lax.stop_gradient
STANDARD = ("reward", "is_first", "is_last", "is_terminal")


def observed_keys(spaces: Mapping[str, Space], config: Keyed) -> tuple[Shapes, Shapes]:
    """Shapes of the images `(H, W, C)` and vectors (one or two axes) that a coder sees.

    Args:
      spaces: observation space. Scalars and the standard keys are never seen.
      config: regular expressions, matched from the start of the key.
    """
    shapes = {k: v.shape for k, v in spaces.items() if k not in STANDARD and k[:4] != "log_"}
    images: Shapes = {}
    images |= {k: s for k, s in shapes.items() if len(s) == 3 and re.match(config.cnn_keys, k)}
    vectors = {k: s for k, s in shapes.items() if len(s) in (1, 2) and re.match(config.mlp_keys, k)}
    return images, vectors


def check_keys(spaces: Mapping[str, Space], config: AgentConfig) -> None:
    """Raises UserError unless both coders have keys, and images a size they can halve."""
    for side in ("encoder", "decoder"):
        coder: CoderConfig = getattr(config, side)
        images, vectors = observed_keys(spaces, coder)
        if not images and not vectors:
            shapes = {k: v.shape for k, v in spaces.items() if k not in STANDARD}
            raise UserError(
                f"{side}.cnn_keys {coder.cnn_keys!r} and {side}.mlp_keys {coder.mlp_keys!r} "
                f"match none of the observations {shapes}"
            )
        for key, (height, width, _) in images.items():
            stages = math.log2(height / coder.minres) if height else 0.0
            if height != width or stages < 1 or not stages.is_integer():
                raise UserError(
                    f"image {key!r} is {height}x{width}; expected a square whose side is "
                    f"{side}.minres ({coder.minres}) times a power of two"
                )
        if len({shape[0] for shape in images.values()}) > 1:
            raise UserError(f"{side}: images of several sizes: {images}")


class WorldModel:
    """Encoder, recurrent state-space model, decoder, reward head, continue head.

    Attributes:
      images: shapes of the images that are reconstructed.
      vectors: likewise of vectors.
      encoder, rssm, decoder, reward, cont: the modules.
    """

    def __init__(
        self, config: AgentConfig, spaces: Mapping[str, Space], actions: int, dtype: Any
    ) -> None:
        """Makes the modules for `actions` (A) numbers in an action, computed in `dtype`."""
        check_keys(spaces, config)
        self.config, self.spaces, self.dtype = config, spaces, dtype
        images, vectors = observed_keys(spaces, config.encoder)
        self.encoder = Encoder(tuple(images), tuple(vectors), config.encoder, dtype)
        embed = jax.eval_shape(lambda: self.encoder.init_with_output(jax.random.key(0), self._obs))
        self.rssm = RSSM(config.rssm, embed[0].shape[-1], actions, dtype)
        self.images, self.vectors = observed_keys(spaces, config.decoder)
        self.decoder = Decoder(self.images, self.vectors, config.decoder, dtype)
        # Two-hot over symlog bins, and the logit of not being terminal.
        self.reward = Head(config.reward_head, config.reward_head.bins, dtype)
        self.cont = Head(config.cont_head, 1, dtype)

    def init(self, key: Array) -> Params:
        """Draws all parameters, float32."""
        keys = jax.random.split(key, 5)
        feat = jnp.zeros((1, self.config.rssm.features))
        return {
            "encoder": self.encoder.init(keys[0], self._obs)["params"],
            "rssm": self.rssm.init(keys[1])["params"],
            "decoder": self.decoder.init(keys[2], feat)["params"],
            "reward": self.reward.init(keys[3], feat)["params"],
            "cont": self.cont.init(keys[4], feat)["params"],
        }

    @property
    def _obs(self) -> Batch:
        """One observation of zeros."""
        return {k: jnp.zeros((1, *s.shape), s.dtype) for k, s in self.spaces.items()}

    def observe(
        self,
        params: Params,
        batch: Batch,
        prev_action: Array,
        noise: Array,
        carry: State | None = None,
    ) -> tuple[State, Array, Array]:
        """Encodes and filters a batch `[B, T, ...]`; see `rssm.observe`.

        Returns:
          Posteriors `[B, T, ...]`, prior logits `[B, T, S, C]`, embeddings `[B, T, E]`.
        """
        embed = run(self.encoder, params["encoder"], batch)
        args = embed, prev_action, batch["is_first"], noise, carry
        post, prior = rssm.observe(self.rssm, params["rssm"], *args)
        return post, prior, embed

    def losses(
        self, params: Params, batch: Batch, noise: Array
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Unweighted losses of every step.

        Args:
          params: world-model parameters.
          batch: `[B, T, ...]`: observations, reward, is_first, is_terminal, and action (the
            one taken after each observation).
          noise: Gumbel noise `[B, T, S, C]` of the posteriors.

        Returns:
          Losses `{name: [B, T]}` in full precision, and `post`, `prior` logits, `embed`,
          predictions `recon`, `reward` and `cont`, and mean `entropies` in nats.
        """
        action = full(batch["action"])
        prev_action = jnp.concatenate([jnp.zeros_like(action[:, :1]), action[:, :-1]], 1)
        post, prior, embed = self.observe(params, batch, prev_action, noise)
        # A head that is not among `grad_heads` learns from the latents, but does not shape them.
        feat = rssm.features(post)
        inputs = {
            name: feat if name in self.config.grad_heads else sg(feat)
            for name in ("decoder", "reward", "cont")
        }
        recon = run(self.decoder, params["decoder"], inputs["decoder"])
        reward = run(self.reward, params["reward"], inputs["reward"])
        cont = run(self.cont, params["cont"], inputs["cont"])[..., 0]
        losses = {key: image_loss(recon[key], batch[key]) for key in self.images}
        for key, shape in self.vectors.items():
            losses[key] = vector_loss(recon[key], batch[key], len(shape))
        losses["reward"] = dist.twohot_loss(reward, batch["reward"])
        losses["cont"] = -dist.binary_log_prob(cont, 1.0 - batch["is_terminal"].astype(cont.dtype))
        # One KL, two gradients: dyn moves the prior towards the posterior, rep (weighing less) the
        # posterior towards the prior. Below `free_nats` neither has a gradient.
        dyn = dist.categorical_kl(sg(post["logit"]), prior)
        rep = dist.categorical_kl(post["logit"], sg(prior))
        losses["dyn"] = jnp.maximum(dyn, self.config.free_nats)
        losses["rep"] = jnp.maximum(rep, self.config.free_nats)
        chex.assert_shape(list(losses.values()), batch["is_first"].shape)
        chex.assert_type(list(losses.values()), full_dtype(self.dtype))
        aux = {
            "post": post, "prior": prior, "embed": embed, "recon": recon,
            "reward": dist.twohot_mean(reward), "cont": jax.nn.sigmoid(cont),
            "entropies": {
                "post_entropy": dist.categorical_entropy(post["logit"]).sum(-1).mean(),
                "prior_entropy": dist.categorical_entropy(prior).sum(-1).mean(),
            },
        }  # fmt: skip
        return losses, aux

    def predict(self, params: Params, feat: Array) -> tuple[Array, Array]:
        """Predicted reward and probability to continue, `[...]` each, of features `[..., F]`."""
        reward = run(self.reward, params["reward"], feat)
        cont = run(self.cont, params["cont"], feat)[..., 0]
        return dist.twohot_mean(reward), jax.nn.sigmoid(cont)
