"""How the 2025 agent meets the world: its policy, windows of the replay, random draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from embodied.core.env import MASK
from harmony_dreamerv3.agents.modules_2025 import Modules
from harmony_dreamerv3.nets.block_rssm import State, features, join, observe
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.nets.policies import obey, split

Array = jax.Array
Params = dict[str, Any]
Batch = Mapping[str, Array]


class Draws(NamedTuple):
    """Noise of one update; zeros give modes."""

    post: Array  # [B, T, S, C], Gumbel, of the posteriors
    latent: Array  # [H, N, S, C], Gumbel, of imagined states
    action: dict[str, Array]  # {key: [H + 1, N, A]}, Gumbel or standard normal


@dataclasses.dataclass(frozen=True)
class Acting(Modules):
    """Policy, windows and draws over `Modules`."""

    def policy(
        self, params: Params, carry: State, obs: Batch, key: Array, mode: str
    ) -> tuple[State, Array]:
        """Draws actions, in training and evaluation alike, as upstream does.

        Args:
          params: of `policy_params`.
          carry: latent state and last action, `[N, ...]`.
          obs: observations `[N, ...]`.
          key: threefry key of this step.
          mode: without effect.

        Returns:
          The next carry, and actions `[N, A]`, those of several keys joined in sorted order.
        """
        del mode
        k_latent, k_action = jax.random.split(key)
        obs = {name: x[:, None] for name, x in obs.items()}
        rows, tokens = len(carry["deter"]), run(self.encoder, params["encoder"], obs)
        noise = self.gumbel(k_latent, (rows, 1, *carry["stoch"].shape[1:]))
        post, _, _ = observe(
            self.rssm, params["rssm"], carry, tokens, carry["action"][:, None], obs["is_first"],
            noise,
        )  # fmt: skip
        post = jax.tree.map(lambda x: x[:, 0], post)
        dists = run(self.actor, params["actor"], features(post))
        noises = self.action_noise(k_action, (rows,))
        if MASK in self.obs_space:
            keys = sorted(dists)
            masks = split(obs[MASK][:, 0], [self.choices[key].shape[0] for key in keys])
            dists |= {key: obey(dists[key], mask) for key, mask in zip(keys, masks)}
        action = join({key: dists[key].sample(noises[key]) for key in dists})
        return {**post, "action": action}, action

    # Batches and draws

    def window(
        self, carry: State, batch: Mapping[str, Array]
    ) -> tuple[dict[str, Array], State, Array]:
        """Cuts a batch into context and trained steps.

        Args:
          carry: `[B, ...]` after the batch before, from which rows go on that do not begin with
            `is_first`; empty where every batch begins anew.
          batch: `[B, C + T, ...]`.

        Returns:
          Observations of the trained steps `[B, T, ...]`, the state before the first of them
          `[B, ...]`, and the actions that led to each, `[B, T, A]`.
        """
        context = self.context
        keys = (*self.observed, "reward", "is_first", "is_last", "is_terminal")
        obs = {key: batch[key][:, context:] for key in keys}
        action = self.actions(batch)
        start = {k: v for k, v in self.initial_carry(len(action)).items() if k != "action"}
        if context:
            # Of the context only the last step is read.
            start = {k: batch[f"dyn/{k}"][:, context - 1].astype(self.dtype) for k in start}
            before = action[:, context - 1]
        else:
            before = jnp.zeros_like(action[:, 0])
        if carry:
            first = batch["is_first"][:, 0]

            def choose(fresh: Array, old: Array) -> Array:
                return jnp.where(first.reshape(-1, *[1] * (fresh.ndim - 1)), fresh, old)

            before = choose(before, carry["action"]) if not context else before
            start = {k: choose(start[k], carry[k]) for k in start}
        previous = jnp.concatenate([before[:, None], action[:, context:-1]], 1)
        return obs, start, previous

    def actions(self, batch: Mapping[str, Array]) -> Array:
        """All actions of a batch joined, `[B, C + T, A]`."""
        return join({key: batch[key] for key in self.act_space})

    def starts(self, batch: Mapping[str, Array]) -> int:
        """The number K of last steps of each row from which imagination starts."""
        steps = batch["is_first"].shape[1] - self.context
        return min(self.config.agent.imag_last or steps, steps)

    def draws(self, keys: Array, batch: Mapping[str, Array]) -> Draws:
        """Noise for an update with a batch `[B, C + T, ...]`, from keys `[3, 2]`."""
        c = self.config.agent
        rows, steps = batch["is_first"].shape
        steps, starts = steps - self.context, rows * self.starts(batch)
        latent = (c.rssm.stoch, c.rssm.classes)
        k_post, k_latent, k_action = keys
        return Draws(
            self.gumbel(k_post, (rows, steps, *latent)),
            self.gumbel(k_latent, (c.imag_horizon, starts, *latent)),
            self.action_noise(k_action, (c.imag_horizon + 1, starts)),
        )

    def gumbel(self, key: Array, shape: tuple[int, ...]) -> Array:
        """Gumbel noise, or zeros."""
        if not self.sampling:
            return jnp.zeros(shape, self.param_dtype)
        return jax.random.gumbel(key, shape, self.param_dtype)

    def action_noise(self, key: Array, lead: tuple[int, ...]) -> dict[str, Array]:
        """Noise `{key: [*lead, A]}` of actions."""
        noise = {}
        for i, (name, space) in enumerate(sorted(self.choices.items())):
            shape, key_i = (*lead, *space.shape), jax.random.fold_in(key, i)
            if space.discrete:
                noise[name] = self.gumbel(key_i, shape)
            elif self.sampling:
                noise[name] = jax.random.normal(key_i, shape, self.param_dtype)
            else:
                noise[name] = jnp.full(shape, self.gaussian_offset, self.param_dtype)
        return noise
