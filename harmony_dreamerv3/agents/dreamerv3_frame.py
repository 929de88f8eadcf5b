"""What surrounds the algorithm of `dreamerv3.py`: spaces, modules, optimizers, keys, noise."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from harmony_dreamerv3 import loss_tasks, optim
from harmony_dreamerv3.agents import base, openloop
from harmony_dreamerv3.agents.base import Batch, Params
from harmony_dreamerv3.balance import Balancer
from harmony_dreamerv3.behavior import Behavior
from harmony_dreamerv3.nets import policies
from harmony_dreamerv3.nets.rssm import State
from harmony_dreamerv3.world_model import WorldModel

Array = jax.Array


class Frame(base.Agent):
    """The part of the agent that computes no loss."""

    def __post_init__(self) -> None:
        _ = self.balancer  # Wrong options and spaces fail here, not while tracing.

    @functools.cached_property
    def wm(self) -> WorldModel:
        """Encoder, recurrent state-space model, decoder, reward and continue head."""
        return WorldModel(self.config.agent, self.obs_space, self.actions, self.dtype)

    @functools.cached_property
    def behavior(self) -> Behavior:
        """Actor and critic."""
        return Behavior(self.config.agent, self.act_space["action"].choices(), self.dtype)

    @functools.cached_property
    def balancer(self) -> Balancer:
        """Weighs the losses of the world model; HarmonyDream's learns one scalar for each task."""
        scales = dataclasses.asdict(self.config.agent.loss_scales)
        losses = loss_tasks.describe(self.wm.images, self.wm.vectors, scales)
        return loss_tasks.make_balancer(self.config.balance, losses)

    @functools.cached_property
    def optimizers(self) -> dict[str, optax.GradientTransformationExtraArgs]:
        """Clipping by global norm and Adam, for each of model (with balance), actor, critic."""
        c = self.config.agent
        return {
            "model": loss_tasks.with_balance(optim.make(c.model_opt), self.config.balance),
            "actor": optim.make(c.actor_opt),
            "critic": optim.make(c.critic_opt),
        }

    @property
    def seen_keys(self) -> tuple[str, ...]:
        """Keys of observations that the encoder sees, and when it starts anew."""
        return (*self.wm.encoder.cnn_keys, *self.wm.encoder.mlp_keys, "is_first")

    @functools.cached_property
    def batch_keys(self) -> tuple[str, ...]:
        """Keys of windows that an update reads."""
        keys = (*self.seen_keys, *self.wm.images, *self.wm.vectors)
        return tuple(dict.fromkeys((*keys, "reward", "is_terminal", "action")))

    def policy_params(self, state: Any) -> Params:
        """What acting needs of a state."""
        model = {name: state.params["world_model"][name] for name in ("encoder", "rssm")}
        return {"world_model": model, "actor": state.params["actor"]}

    def initial_carry(self, rows: int) -> State:
        """The policy's memory before the first observation, for `rows` environments."""
        c = self.config.agent.rssm
        return {
            "deter": jnp.zeros((rows, c.deter), self.dtype),
            "stoch": jnp.zeros((rows, c.stoch, c.classes), self.dtype),
            "action": jnp.zeros((rows, self.actions), self.param_dtype),
        }

    def report(self, state: Any, batch: Batch, key: Array) -> dict[str, Any]:
        """Open-loop predictions of a batch beside the truth."""
        return openloop.report(self, state, batch, key)

    def latent_noise(self, key: Array, lead: tuple[int, ...]) -> Array:
        """Gumbel noise `[*lead, S, C]` of latents' draws."""
        c = self.config.agent.rssm
        return self.noise(jax.random.gumbel, key, (*lead, c.stoch, c.classes))

    def action_noise(self, key: Array, lead: tuple[int, ...]) -> Array:
        """Noise `[*lead, A]` of the policy's draws: Gumbel or standard normal."""
        parts = self.behavior.parts
        draws = [jax.random.gumbel if part.discrete else jax.random.normal for part in parts]
        sizes = [part.shape[0] for part in parts]
        noise = policies.noise(draws, sizes, key, lead, self.param_dtype)
        return noise if self.sampling else jnp.zeros_like(noise)
