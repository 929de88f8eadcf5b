"""What the 2025 agent is made of: spaces, networks, optimizer."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from embodied.core.errors import UserError
from embodied.core.space import Space
from harmony_dreamerv3 import loss_tasks
from harmony_dreamerv3.agents import base, laprop, moving_norm
from harmony_dreamerv3.agents.moving_norm import NormState
from harmony_dreamerv3.balance import Balancer
from harmony_dreamerv3.nets import symexp_twohot
from harmony_dreamerv3.nets.block_rssm import BlockRSSM, State
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.nets.pool_coders import Decoder, Encoder, Spaces, check_spaces, matching
from harmony_dreamerv3.nets.rms_heads import Head, PolicyHead

Array = jax.Array
Params = dict[str, Any]
sg = jax.lax.stop_gradient
LOSSES = ("reward", "cont", "dyn", "rep", "policy", "value", "repval")  # beside those of keys


class Values(NamedTuple):
    """Returns that critic and slow critic predict of T states."""

    logits: Array  # [T, ..., K] of the critic
    raw_slow: Array  # [T, ...] of the slow critic, no gradient; normalised by valnorm, as targets
    value: Array  # [T, ...]
    slow: Array  # [T, ...]

    def loss(self, target: Array, slowreg: float) -> Array:
        """Cross-entropy `[T - 1, ...]` to targets of all states but the last."""
        logits, slow = self.logits[:-1], self.raw_slow[:-1]
        nll = symexp_twohot.loss(logits, target)
        return nll + slowreg * symexp_twohot.loss(logits, slow)


@dataclasses.dataclass(frozen=True)
class Modules(base.Agent):
    """Everything about an agent that does not change; `act_space` may have several keys here.

    Attributes:
      gaussian_offset: without sampling, Gaussian draws lie so many deviations above the mean.
    """

    gaussian_offset: float = 0.0

    def __post_init__(self) -> None:
        c = self.config.agent
        for side, keys in (("encoder", self.seen), ("decoder", self.decoded)):
            check_spaces(side, getattr(c, side), *keys)
        taken = [key for key in (*self.images, *self.vectors) if key in LOSSES]
        if taken:
            raise UserError(f"observation {taken[0]!r} has the name of a loss; rename it")
        _ = self.balancer  # Wrong options fail here, not while tracing.

    # Spaces

    @property
    def context(self) -> int:
        """Steps C before the trained ones in a window."""
        return self.config.run.replay_context

    @functools.cached_property
    def choices(self) -> dict[str, Space]:
        """What the policy has a distribution for: the action keys, or the parts of an action."""
        parts = {
            f"{key}/{index:03d}": part
            for key, space in self.act_space.items()
            for index, part in enumerate(space.parts)
        }
        return parts or dict(self.act_space)

    @functools.cached_property
    def seen(self) -> tuple[Spaces, Spaces]:
        """Spaces of the images and of the vectors that the encoder sees, in order."""
        return matching(self.obs_space, self.config.agent.encoder)

    @functools.cached_property
    def decoded(self) -> tuple[Spaces, Spaces]:
        """Likewise of those that the decoder reconstructs."""
        return matching(self.obs_space, self.config.agent.decoder)

    @property
    def images(self) -> Spaces:
        """Reconstructed images, `(H, W, C)` uint8."""
        return self.decoded[0]

    @property
    def vectors(self) -> Spaces:
        """Reconstructed scalars, vectors and matrices."""
        return self.decoded[1]

    @property
    def seen_keys(self) -> tuple[str, ...]:
        """Observations that the encoder sees, and when it starts anew."""
        return (*self.seen[0], *self.seen[1], "is_first")

    @functools.cached_property
    def compared(self) -> tuple[str, ...]:
        """What losses read of trained steps."""
        keys = (*self.seen_keys, *self.images, *self.vectors, "reward", "is_last", "is_terminal")
        return tuple(dict.fromkeys(keys))

    @property
    def batch_keys(self) -> tuple[str, ...]:
        """What an update reads of windows."""
        return (*self.compared, *self.act_space, *self.stored_space)

    @property
    def stored_space(self) -> Spaces:
        """Latents that are kept with each step in the replay, if windows have a context."""
        c = self.config.agent.rssm
        if not self.context:
            return {}
        shapes = {"deter": (c.deter,), "stoch": (c.stoch, c.classes)}
        return {f"dyn/{name}": Space(np.float32, shape) for name, shape in shapes.items()}

    def stored(self, state: State) -> dict[str, Array]:
        """What replaces the stored latents, `[..., *shape]` float32, from a state or a carry."""
        return {k: state[k.removeprefix("dyn/")].astype(jnp.float32) for k in self.stored_space}

    def blank(self) -> dict[str, Array]:
        """One observation `[1, ...]`, of zeros."""
        spaces = {key: self.obs_space[key] for key in self.seen_keys}
        return {key: jnp.zeros((1, *s.shape), s.dtype) for key, s in spaces.items()}

    # Networks

    @functools.cached_property
    def encoder(self) -> Encoder:
        """From observations to tokens."""
        return Encoder(self.config.agent.encoder, *self.seen, self.dtype)

    @functools.cached_property
    def rssm(self) -> BlockRSSM:
        """The recurrent model."""
        tokens, _ = jax.eval_shape(self.encoder.init_with_output, jax.random.key(0), self.blank())
        return BlockRSSM(self.config.agent.rssm, tokens.shape[-1], self.actions, self.dtype)

    @functools.cached_property
    def decoder(self) -> Decoder:
        """From latents to observations."""
        return Decoder(self.config.agent.decoder, *self.decoded, self.dtype)

    @functools.cached_property
    def reward(self) -> Head:
        """Reward of the step that led to a state."""
        return Head(self.config.agent.reward_head, dtype=self.dtype)

    @functools.cached_property
    def cont(self) -> Head:
        """Whether a state is not terminal."""
        return Head(self.config.agent.cont_head, True, self.dtype)

    @functools.cached_property
    def actor(self) -> PolicyHead:
        """The policy."""
        return PolicyHead(self.config.agent.actor, self.choices, self.dtype)

    @functools.cached_property
    def critic(self) -> Head:
        """The return of a state under the policy, normalised by valnorm."""
        return Head(self.config.agent.critic, dtype=self.dtype)

    def values(self, params: Params, slow: Params, feat: Array, norm: NormState) -> Values:
        """What critic and slow critic say of features `[T, ..., F]`."""
        logits = run(self.critic, params["critic"], feat)
        raw_slow = sg(symexp_twohot.mean(run(self.critic, slow, sg(feat))))
        offset, scale = moving_norm.stats(norm, self.config.agent.valnorm)
        value, slow_value = (x * scale + offset for x in (symexp_twohot.mean(logits), raw_slow))
        return Values(logits, raw_slow, value, slow_value)

    def normed(self, returns: Array, norm: NormState) -> Array:
        """Targets of the critic, normalised by valnorm."""
        offset, scale = moving_norm.stats(norm, self.config.agent.valnorm)
        return (returns - offset) / scale

    @functools.cached_property
    def balancer(self) -> Balancer:
        """The loss balancer."""
        scales = dataclasses.asdict(self.config.agent.loss_scales)
        images, vectors = (
            {k: space.shape for k, space in spaces.items()} for spaces in self.decoded
        )
        losses = loss_tasks.describe(images, vectors, scales)
        # Losses outside of tasks keep their scales under every method.
        own = {f"loss_scales.{name}": scales[name] for name in ("image", "vector", "reward")}
        return loss_tasks.make_balancer(self.config.balance, dataclasses.replace(losses, own=own))

    @functools.cached_property
    def optimizer(self) -> optax.GradientTransformationExtraArgs:
        """The one optimizer; the balancer's weights may have one of their own."""
        return loss_tasks.with_balance(laprop.make(self.config.agent.opt), self.config.balance)

    @property
    def discount(self) -> float:
        """γ = 1 - 1 / horizon."""
        return 1.0 - 1.0 / self.config.agent.horizon

    def policy_params(self, state: Any) -> Params:
        """What acting needs of a train state."""
        return {name: state.params[name] for name in ("encoder", "rssm", "actor")}
