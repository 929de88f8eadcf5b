"""What surrounds the algorithm of `dreamerv3.py`: spaces, modules, optimizers, keys, noise."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from embodied.core.env import MASK
from embodied.core.space import Space
from harmony_dreamerv3 import loss_tasks, optim
from harmony_dreamerv3.agents import openloop
from harmony_dreamerv3.agents.base import Batch, Params
from harmony_dreamerv3.balance import Balancer
from harmony_dreamerv3.behavior import Behavior
from harmony_dreamerv3.config import Config
from harmony_dreamerv3.nets.rssm import State
from harmony_dreamerv3.world_model import WorldModel, check_keys

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Frame:
    """The part of the agent that computes no loss; see `base.Agent`.

    Attributes:
      config: the whole configuration; `config.agent` is that of this base.
      obs_space: observation space.
      act_space: `{'action': Space}`, discrete (one-hot) or continuous.
      sampling: False replaces every random draw by its mode.
    """

    config: Config
    obs_space: Mapping[str, Space]
    act_space: Mapping[str, Space]
    sampling: bool = True
    stored_space: ClassVar[Mapping[str, Space]] = {}  # The replay keeps nothing of the policy.

    def __post_init__(self) -> None:
        check_keys(self.obs_space, self.config.agent)
        _ = self.balancer  # wrong options fail here, not while tracing

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
        configs = {"model": c.model_opt, "actor": c.actor_opt, "critic": c.critic_opt}
        chains = {name: optim.make(config) for name, config in configs.items()}
        return {**chains, "model": loss_tasks.with_balance(chains["model"], self.config.balance)}

    @functools.cached_property
    def dtype(self) -> Any:
        """Dtype of the computation."""
        return jnp.dtype(self.config.jax.precision)

    @functools.cached_property
    def param_dtype(self) -> Any:
        """Dtype of parameters, losses and optimizer: float32, or float64 when computing so."""
        return jnp.promote_types(self.dtype, jnp.float32)

    @property
    def actions(self) -> int:
        """Size A of the action vector."""
        return self.act_space["action"].shape[0]

    @property
    def seen_keys(self) -> tuple[str, ...]:
        """Keys of observations that the encoder sees, and when it starts anew."""
        return (*self.wm.encoder.cnn_keys, *self.wm.encoder.mlp_keys, "is_first")

    @functools.cached_property
    def obs_keys(self) -> tuple[str, ...]:
        """Keys of observations that the policy reads."""
        mask = (MASK,) if MASK in self.obs_space else ()
        return tuple(dict.fromkeys((*self.seen_keys, *mask)))

    @functools.cached_property
    def batch_keys(self) -> tuple[str, ...]:
        """Keys of windows that an update reads."""
        keys = (*self.seen_keys, *self.wm.images, *self.wm.vectors)
        return tuple(dict.fromkeys((*keys, "reward", "is_terminal", "action")))

    def policy_params(self, state: Any) -> Params:
        """What acting needs of a state."""
        model = state.params["world_model"]
        model = {name: model[name] for name in ("encoder", "rssm")}
        return {"world_model": model, "actor": state.params["actor"]}

    def initial_carry(self, rows: int) -> State:
        """The policy's memory before the first observation, for `rows` environments."""
        c = self.config.agent.rssm
        return {
            "deter": jnp.zeros((rows, c.deter), self.dtype),
            "stoch": jnp.zeros((rows, c.stoch, c.classes), self.dtype),
            "action": jnp.zeros((rows, self.actions), self.param_dtype),
        }

    def stored(self, carry: State) -> dict[str, Array]:
        """Nothing."""
        del carry
        return {}

    def report(self, state: Any, batch: Batch, key: Array) -> dict[str, Any]:
        """Open-loop predictions of a batch beside the truth."""
        return openloop.report(self, state, batch, key)

    def latent_noise(self, key: Array, lead: tuple[int, ...]) -> Array:
        """Gumbel noise `[*lead, S, C]`, or zeros for the mode."""
        shape = (*lead, self.config.agent.rssm.stoch, self.config.agent.rssm.classes)
        if not self.sampling:
            return jnp.zeros(shape, self.param_dtype)
        return jax.random.gumbel(key, shape, self.param_dtype)

    def action_noise(self, key: Array, lead: tuple[int, ...]) -> Array:
        """Noise `[*lead, A]` of the policy's draws, or zeros for the mode."""
        if not self.sampling:
            return jnp.zeros((*lead, self.actions), self.param_dtype)
        return self.behavior.noise(key, lead, self.param_dtype)

    @staticmethod
    def model_params(params: Params) -> Params:
        """What the optimizer `model` trains: world model and balance."""
        return {name: params[name] for name in ("world_model", "balance")}
