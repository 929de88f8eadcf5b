"""What an update of DreamerV2 takes from a batch, and what it draws at random.

All of it is in the small methods here, so that `parity` can put recorded noise, actions and states
in their place.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from harmony_dreamerv3.agents import base
from harmony_dreamerv3.agents.base import Batch
from harmony_dreamerv3.agents.networks_v2 import Networks
from harmony_dreamerv3.config.dreamerv2 import AgentConfig
from harmony_dreamerv3.nets.prototypes import shift
from harmony_dreamerv3.nets.rssm_v2 import State

Array = jax.Array


class Data(base.Agent):
    """Networks, batches and draws."""

    @property
    def c(self) -> AgentConfig:
        """Settings of the agent."""
        return self.config.agent

    @functools.cached_property
    def net(self) -> Networks:
        """All modules."""
        return Networks(self.c, self.obs_space, self.act_space["action"].choices(), self.dtype)

    @property
    def seen_keys(self) -> tuple[str, ...]:
        """Keys of observations that the encoder sees, and when it starts anew."""
        return (*self.net.encoder.cnn_keys, *self.net.encoder.mlp_keys, "is_first")

    @functools.cached_property
    def batch_keys(self) -> tuple[str, ...]:
        """Keys of windows that an update reads."""
        keys = (*self.seen_keys, *self.net.images, *self.net.vectors)
        return tuple(dict.fromkeys((*keys, "reward", "is_terminal", "action")))

    def prepare(self, batch: Batch, key: Array | None = None) -> dict[str, Array]:
        """Images as x / 255 - 0.5; all numbers in full precision.

        With prototypes and a key, all rows twice: images shifted at random by the same offset in
        all steps of a row, the first view in the first rows.
        """
        obs = {
            k: jnp.asarray(v, None if v.dtype == bool else self.param_dtype)
            for k, v in batch.items()
        }
        for name in {*self.net.encoder.cnn_keys, *self.net.images} & obs.keys():
            obs[name] = obs[name] / (255.0 if batch[name].dtype == jnp.uint8 else 1.0) - 0.5
        if self.net.prototypes and key is not None:
            obs = {name: jnp.concatenate([x, x]) for name, x in obs.items()}
            offset = self.offsets(key, len(obs["is_first"]))
            for name in self.net.encoder.cnn_keys:
                obs[name] = shift(obs[name], offset)
        return obs

    def learned_reward(self, reward: Array) -> Array:
        """What the reward head learns."""
        return jnp.tanh(reward) if self.c.clip_rewards == "tanh" else reward

    def previous_actions(self, obs: Mapping[str, Array]) -> Array:
        """`[B, T, A]`, the action that led to each observation; zeros at a window's start."""
        action = obs["action"]
        return jnp.concatenate([jnp.zeros_like(action[:, :1]), action[:, :-1]], 1)

    def resets(self, obs: Mapping[str, Array]) -> Array:
        """`[B, T]` bool, where state and action restart from zeros: a window does, too."""
        return obs["is_first"].at[:, 0].set(True)

    def start(self, rows: int) -> State:
        """The state before a window."""
        return self.net.rssm.zeros(rows)

    # Draws

    def latent_noise(self, key: Array, shape: tuple[int, ...]) -> Array:
        """Noise `[*shape, ...]` of latents: Gumbel or normal, zeros for modes."""
        draw = jax.random.gumbel if self.c.rssm.classes else jax.random.normal
        return self.noise(draw, key, (*shape, *self.net.rssm.latent))

    def action_noise(self, key: Array, shape: tuple[int, ...]) -> Array | None:
        """Noise `[*shape, A]` of actions, None for modes."""
        if not self.sampling:
            return None
        return self.net.actor.noise(key, shape, self.param_dtype)

    def entropy_noise(self, key: Array, shape: tuple[int, ...]) -> Array | None:
        """Noise `[draws, *shape, A]` where the entropy is estimated, None where it is exact."""
        if not self.net.estimated:
            return None
        if not self.sampling:
            return jnp.zeros((1, *shape, self.actions), self.param_dtype)
        return self.action_noise(key, (self.c.actor.draws, *shape))

    def offsets(self, key: Array, rows: int) -> Array:
        """Shifts `[rows, 2]` of views in pixels, zeros without sampling."""
        far = self.c.prototypes.shift if self.sampling else 0.0
        return jax.random.uniform(key, (rows, 2), self.param_dtype, -far, far)
