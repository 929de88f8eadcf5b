"""The networks of DreamerV2 and DreamerPro for given spaces, and their fresh parameters."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from embodied.core.space import Space
from harmony_dreamerv3.config.dreamerv2 import AgentConfig, check_observation
from harmony_dreamerv3.nets import coders_v2 as coders
from harmony_dreamerv3.nets import prototypes
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.nets.layers_v2 import Actor, Head
from harmony_dreamerv3.nets.policies_v2 import SquashedNormal
from harmony_dreamerv3.nets.prototypes import Projections
from harmony_dreamerv3.nets.rssm_v2 import RSSM
from harmony_dreamerv3.world_model import observed_keys

Array = jax.Array
Params = dict[str, Any]
Shapes = dict[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Networks:
    """Modules by part; parameters live outside."""

    config: AgentConfig  # settings of the agent
    spaces: Mapping[str, Space]  # observation space
    # Spaces of the action's parts, mostly one (`Space.choices`), together A wide.
    acts: tuple[Space, ...]
    dtype: Any  # of the computation

    def __post_init__(self) -> None:
        """Raises UserError for settings that do not fit the spaces or each other."""
        c = self.config
        check_observation(c, bool(self.seen[0]), bool(self.images or self.vectors))
        coders.check_coder("encoder", c.encoder, *self.seen)
        if not self.prototypes:
            coders.check_coder("decoder", c.decoder, self.images, self.vectors)

    @property
    def discrete(self) -> bool:
        """Whether any part is one-hot: all then learn by REINFORCE, else through the model."""
        return any(part.discrete for part in self.acts)

    @functools.cached_property
    def seen(self) -> tuple[Shapes, Shapes]:
        """Shapes of the images and of the vectors that the encoder sees."""
        return observed_keys(self.spaces, self.config.encoder)

    @functools.cached_property
    def images(self) -> Shapes:
        """Shapes of the reconstructed images; none with prototypes."""
        return observed_keys(self.spaces, self.config.decoder)[0]

    @functools.cached_property
    def vectors(self) -> Shapes:
        """Shapes of the reconstructed vectors; none with prototypes."""
        return observed_keys(self.spaces, self.config.decoder)[1]

    @property
    def prototypes(self) -> bool:
        """Whether the latents explain prototypes instead of pixels."""
        return self.config.observation == "prototypes"

    @functools.cached_property
    def encoder(self) -> coders.Encoder:
        """Images and vectors to embeddings."""
        images, vectors = (tuple(shapes) for shapes in self.seen)
        return coders.Encoder(images, vectors, self.config.encoder, self.dtype)

    @functools.cached_property
    def rssm(self) -> RSSM:
        """The recurrent module."""
        embed, _ = jax.eval_shape(self.encoder.init_with_output, jax.random.key(0), self._seen())
        actions = sum(part.shape[0] for part in self.acts)
        return RSSM(self.config.rssm, embed.shape[-1], actions, self.dtype)

    @functools.cached_property
    def decoder(self) -> coders.Decoder:
        """Features to images and vectors."""
        return coders.Decoder(self.images, self.vectors, self.config.decoder, self.dtype)

    @functools.cached_property
    def projections(self) -> Projections:
        """Embeddings and features to the space of the prototypes."""
        c = self.config.prototypes
        return Projections(c.count, c.dim, self.dtype)

    @functools.cached_property
    def reward(self) -> Head:
        """Features to a reward."""
        return Head(self.config.reward_head, self.dtype)

    @functools.cached_property
    def discount(self) -> Head:
        """Features to the logit of the discount, γ included."""
        return Head(self.config.discount_head, self.dtype)

    @functools.cached_property
    def actor(self) -> Actor:
        """Features to a distribution of actions."""
        return Actor(self.config.actor, self.acts, self.dtype)

    @functools.cached_property
    def critic(self) -> Head:
        """Features to a value."""
        return Head(self.config.critic, self.dtype)

    def policy(self, actor: Params, feat: Array) -> Any:
        """The distribution of actions at features `[..., F]`, to which no gradient passes."""
        return run(self.actor, actor, jax.lax.stop_gradient(feat))

    @property
    def estimated(self) -> bool:
        """Whether the policy's entropy is estimated from draws."""
        return SquashedNormal in self.actor.kinds

    def apply(self, part: str, model: Params, stats: Params, x: Any) -> Any:
        """Encoder or decoder as in acting: batch norms use their moving statistics."""
        module: nn.Module = getattr(self, part)
        return module.apply({"params": model[part], "stats": stats.get(part, {})}, x)

    def train(self, part: str, model: Params, stats: Params, x: Any) -> tuple[Any, Params]:
        """Encoder or decoder with the batch's statistics, and all moving ones after it."""
        module: nn.Module = getattr(self, part)
        if part not in stats:
            return module.apply({"params": model[part]}, x, True), stats
        variables = {"params": model[part], "stats": stats[part]}
        out, new = module.apply(variables, x, True, mutable=["stats"])
        return out, {**stats, part: new["stats"]}

    def prototype_losses(
        self, model: Params, target: Params, obs: Mapping[str, Array], embed: Array, feat: Array
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Losses of two views `[2 B, T, ...]`, and their parts; see `nets.prototypes.losses`.

        Args:
          model: parameters of the world model.
          target: moving copies {'encoder', 'obs_proj'}.
          obs: observations of both views.
          embed: their embeddings.
          feat: features of their posteriors.
        """
        c, module = self.config.prototypes, self.projections
        proj = run(module, model["projections"], embed, feat)
        copy = run(self.encoder, target["encoder"], obs)
        moved = {**model["projections"], "obs_proj": target["obs_proj"]}
        own = run(module, moved, copy, method="project")
        losses, aux = prototypes.losses(
            proj[0], proj[1], own, proj[2], temperature=c.temperature, eps=c.sinkhorn_eps,
            iterations=c.sinkhorn_iters, warm_up=c.warm_up,
        )  # fmt: skip
        names = ("obs_proj", "feat_proj", "prototypes")
        return losses, {**aux, **dict(zip(names, proj)), "target_proj": own, "target_embed": copy}

    def copied(self, model: Params) -> Params:
        """What DreamerPro keeps moving copies of; nothing without prototypes."""
        if not self.prototypes:
            return {}
        return {"encoder": model["encoder"], "obs_proj": model["projections"]["obs_proj"]}

    def moved(self, target: Params, model: Params, updates: Array) -> Params:
        """The copies after an update: copied by the first, moved a share by every later one."""
        mix = jnp.where(updates == 0, 1.0, self.config.prototypes.ema)
        return optax.incremental_update(self.copied(model), target, mix)

    def _seen(self) -> dict[str, Array]:
        """One observation, of zeros."""
        obs = {name: jnp.zeros((1, *s.shape), jnp.float32) for name, s in self.spaces.items()}
        return {**obs, "is_first": jnp.zeros(1, bool)}

    def init(self, key: Array) -> tuple[Params, Params]:
        """Draws the world model's parameters, and the moving statistics of its batch norms."""
        keys = jax.random.split(key, 5)
        embed = jnp.zeros((1, self.rssm.embed), self.dtype)
        feat = jnp.zeros((1, self.config.rssm.features), self.dtype)
        parts: dict[str, tuple[nn.Module, tuple[Any, ...]]] = {
            "encoder": (self.encoder, (self._seen(),)),
            "rssm": (self.rssm, ()),
            "reward": (self.reward, (feat,)),
        }
        if self.prototypes:
            parts["projections"] = (self.projections, (embed, feat))
        else:
            parts["decoder"] = (self.decoder, (feat,))
        if self.config.predict_discount:
            parts["discount"] = (self.discount, (feat,))
        drawn = {
            name: module.init(k, *args)
            for k, (name, (module, args)) in zip(keys, parts.items(), strict=False)
        }
        stats = {name: value["stats"] for name, value in drawn.items() if "stats" in value}
        return {name: value["params"] for name, value in drawn.items()}, stats
