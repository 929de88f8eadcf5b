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

from embodied.core.errors import UserError
from embodied.core.space import Space
from harmony_dreamerv3.config.dreamerv2 import AgentConfig, CoderConfig, check_observation
from harmony_dreamerv3.nets import coders_v2 as coders
from harmony_dreamerv3.nets import policies, policies_v2, prototypes
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.nets.layers_v2 import Head
from harmony_dreamerv3.nets.prototypes import Projections
from harmony_dreamerv3.nets.rssm_v2 import RSSM
from harmony_dreamerv3.world_model import observed_keys

Array = jax.Array
Params = dict[str, Any]
Shapes = dict[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Networks:
    """Modules by part; parameters live outside.

    Attributes:
      config: settings of the agent.
      spaces: observation space.
      acts: spaces of the action's parts, mostly one (`Space.choices`), together A wide.
      dtype: dtype of the computation.
    """

    config: AgentConfig
    spaces: Mapping[str, Space]
    acts: tuple[Space, ...]
    dtype: Any

    def __post_init__(self) -> None:
        """Raises UserError for settings that do not fit the spaces or each other."""
        check_observation(self.config, bool(self.seen[0]), bool(self.images or self.vectors))
        _check_coder("encoder", self.config.encoder, *self.seen)
        if not self.prototypes:
            _check_coder("decoder", self.config.decoder, self.images, self.vectors)

    @property
    def actions(self) -> int:
        """Size A of the action vector."""
        return sum(self.sizes)

    @functools.cached_property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the action's parts."""
        return tuple(part.shape[0] for part in self.acts)

    @property
    def discrete(self) -> bool:
        """Whether any part is one-hot: all then learn by REINFORCE, else through the model."""
        return any(part.discrete for part in self.acts)

    @functools.cached_property
    def seen(self) -> tuple[Shapes, Shapes]:
        """Shapes of the images and of the vectors that the encoder sees."""
        return _keys(self.spaces, self.config.encoder)

    @functools.cached_property
    def images(self) -> Shapes:
        """Shapes of the reconstructed images; none with prototypes."""
        return _keys(self.spaces, self.config.decoder)[0]

    @functools.cached_property
    def vectors(self) -> Shapes:
        """Shapes of the reconstructed vectors; none with prototypes."""
        return _keys(self.spaces, self.config.decoder)[1]

    @property
    def prototypes(self) -> bool:
        """Whether the latents explain prototypes instead of pixels."""
        return self.config.observation == "prototypes"

    @functools.cached_property
    def encoder(self) -> coders.Encoder:
        """Images and vectors to embeddings."""
        c = self.config.encoder
        return coders.Encoder(
            tuple(self.seen[0]), tuple(self.seen[1]), c.kind, c.cnn_depth, c.kernels, c.mlp_layers,
            c.mlp_units, self.dtype,
        )  # fmt: skip

    @functools.cached_property
    def rssm(self) -> RSSM:
        """The recurrent module."""
        c = self.config.rssm
        embed, _ = jax.eval_shape(self.encoder.init_with_output, jax.random.key(0), self._seen())
        return RSSM(
            c.deter, c.hidden, c.stoch, c.classes, embed.shape[-1], self.actions, c.minstd,
            c.gru_init, self.dtype,
        )  # fmt: skip

    @functools.cached_property
    def decoder(self) -> coders.Decoder:
        """Features to images and vectors."""
        c = self.config.decoder
        return coders.Decoder(
            self.images, self.vectors, c.kind, c.cnn_depth, c.kernels, c.mlp_layers, c.mlp_units,
            self.dtype,
        )  # fmt: skip

    @functools.cached_property
    def projections(self) -> Projections:
        """Embeddings and features to the space of the prototypes."""
        c = self.config.prototypes
        return Projections(c.count, c.dim, self.dtype)

    @functools.cached_property
    def reward(self) -> Head:
        """Features to a reward."""
        c = self.config.reward_head
        return Head(c.layers, c.units, {"out": 0}, self.dtype)

    @functools.cached_property
    def discount(self) -> Head:
        """Features to the logit of the discount, γ included."""
        c = self.config.discount_head
        return Head(c.layers, c.units, {"out": 0}, self.dtype)

    @functools.cached_property
    def actor(self) -> Head:
        """Features to logits, or to mean and deviation."""
        c = self.config.actor
        numbers = sum(part.shape[0] for part in self.acts if not part.discrete)
        sizes = {"out": self.actions} | ({"std": numbers} if numbers else {})
        return Head(c.layers, c.units, sizes, self.dtype)

    @functools.cached_property
    def critic(self) -> Head:
        """Features to a value."""
        c = self.config.critic
        return Head(c.layers, c.units, {"out": 0}, self.dtype)

    @functools.cached_property
    def policy_classes(self) -> tuple[Any, ...]:
        """The distributions of the action's parts."""
        kinds = {
            "trunc_normal": policies_v2.TruncatedNormal,
            "tanh_normal": policies_v2.SquashedNormal,
        }
        numbers = kinds[self.config.actor.dist]
        return tuple(policies_v2.OneHot if part.discrete else numbers for part in self.acts)

    def policy(self, actor: Params, feat: Array) -> Any:
        """The distribution of actions at features `[..., F]`, to which no gradient passes."""
        out = run(self.actor, actor, jax.lax.stop_gradient(feat))
        numbers = [part.shape[0] for part in self.acts if not part.discrete]
        out, *std = out if numbers else (out,)
        stds = iter(policies.split(std[0], numbers) if numbers else ())
        parts = [
            kind(x)
            if kind is policies_v2.OneHot
            else kind.of(x, next(stds), self.config.actor.minstd)
            for kind, x in zip(self.policy_classes, policies.split(out, self.sizes))
        ]
        return policies.joint(parts, self.sizes)

    def action_noise(self, key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
        """Noise `[*shape, A]` for draws of the policy."""
        draws = [kind.noise for kind in self.policy_classes]
        return policies.noise(draws, self.sizes, key, shape, dtype)

    @property
    def estimated(self) -> bool:
        """Whether the policy's entropy is estimated from draws."""
        return policies_v2.SquashedNormal in self.policy_classes

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

    def with_unit_prototypes(self, params: Params) -> Params:
        """Parameters {'world_model', ...} with prototypes of length one, as an update starts.

        No gradient passes through that: it is by the scaled prototypes themselves.
        """

        def scaled(path: Any, x: Array) -> Array:
            return prototypes.unit(x) if path[-1].key == "prototypes" else x

        return jax.tree_util.tree_map_with_path(scaled, params)

    def without_frozen(self, grads: Params, updates: Array) -> Params:
        """Gradients without those of prototypes that are not trained yet."""

        def free(path: Any, x: Array) -> Array:
            frozen = updates < self.config.prototypes.freeze
            return jnp.where(frozen, 0.0, x) if path[-1].key == "prototypes" else x

        return jax.tree_util.tree_map_with_path(free, grads)

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


def _keys(spaces: Mapping[str, Space], coder: Any) -> tuple[Shapes, Shapes]:
    return observed_keys(spaces, coder)


def _check_coder(side: str, coder: CoderConfig, images: Shapes, vectors: Shapes) -> None:
    """Raises UserError unless a coder has keys, and images that fit its networks."""
    if not images and not vectors:
        raise UserError(
            f"{side}.cnn_keys {coder.cnn_keys!r} and {side}.mlp_keys {coder.mlp_keys!r} "
            "match none of the observations"
        )
    coders.check_images(side, coder.kind, coder.kernels, images)
