"""The 2025 agent but for its algorithm: how it begins, acts, reads windows, draws noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from embodied.core.env import MASK
from harmony_dreamerv3 import prng
from harmony_dreamerv3.agents import base, moving_norm, report_2025
from harmony_dreamerv3.agents.modules_2025 import Modules
from harmony_dreamerv3.agents.moving_norm import NormState
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


class TrainState(base.TrainState):
    """Everything that an update reads and writes.

    `params` are {'encoder', 'rssm', 'decoder', 'reward', 'cont', 'actor', 'critic', 'balance'}.
    """

    slow_critic: Params
    norms: dict[str, NormState]  # 'retnorm', 'valnorm', 'advnorm'
    carry: State  # [B, ...] after the last batch; empty unless batches go on from each other


@dataclasses.dataclass(frozen=True)
class Acting(Modules):
    """The beginning, policy, windows and draws over `Modules`."""

    def init(self, key: Array) -> TrainState:
        """Draws a fresh state; all draws of the run derive from `key`, `[2]` uint32."""
        params = self.init_params(prng.for_init(key, 7))
        balance_params, balance = self.balancer.init()
        params["balance"] = balance_params
        goes_on = self.config.run.consec_train > 1
        return TrainState(
            params=params,
            slow_critic=jax.tree.map(jnp.copy, params["critic"]),
            norms=self.init_norms(),
            carry=self.initial_carry(self.config.batch_size) if goes_on else {},
            balance=balance,
            opt={"opt": self.optimizer.init(params)},
            updates=jnp.zeros((), jnp.int32),
            key=key,
            alive=jnp.ones((), bool),
        )

    def init_params(self, keys: Array) -> Params:
        """Draws the parameters of all modules, without balancer, from keys `[7, 2]`."""
        latent = self.initial_carry(1)
        feat = jnp.zeros((1, self.config.agent.rssm.features), self.dtype)
        params = {
            "encoder": self.encoder.init(keys[0], self.blank()),
            "rssm": self.rssm.init(keys[1]),
            "decoder": self.decoder.init(keys[2], latent["deter"], latent["stoch"]),
            "reward": self.reward.init(keys[3], feat),
            "cont": self.cont.init(keys[4], feat),
            "actor": self.actor.init(keys[5], feat),
            "critic": self.critic.init(keys[6], feat),
        }
        return {k: jax.tree.map(lambda x: x.astype(self.param_dtype), v["params"])
                for k, v in params.items()}  # fmt: skip

    def init_norms(self) -> dict[str, NormState]:
        """The first statistics of the three normalisers."""
        c = self.config.agent
        configs = {"retnorm": c.retnorm, "valnorm": c.valnorm, "advnorm": c.advnorm}
        return {name: moving_norm.init(c, self.param_dtype) for name, c in configs.items()}

    def initial_carry(self, rows: int) -> State:
        """The policy's state before the first observation of `rows` environments: zeros."""
        c = self.config.agent.rssm
        return {
            "deter": jnp.zeros((rows, c.deter), self.dtype),
            "stoch": jnp.zeros((rows, c.stoch, c.classes), self.dtype),
            "action": jnp.zeros((rows, self.actions), self.param_dtype),
        }

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
        noise = self.noise(jax.random.gumbel, k_latent, (rows, 1, *carry["stoch"].shape[1:]))
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
        obs = {key: batch[key][:, context:] for key in self.compared}
        action = self.joined_actions(batch)
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

    def joined_actions(self, batch: Mapping[str, Array]) -> Array:
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
            self.noise(jax.random.gumbel, k_post, (rows, steps, *latent)),
            self.noise(jax.random.gumbel, k_latent, (c.imag_horizon, starts, *latent)),
            self.action_noise(k_action, (c.imag_horizon + 1, starts)),
        )

    def action_noise(self, key: Array, lead: tuple[int, ...]) -> dict[str, Array]:
        """Noise `{key: [*lead, A]}` of actions."""
        noise = {}
        for i, (name, space) in enumerate(sorted(self.choices.items())):
            shape, key_i = (*lead, *space.shape), jax.random.fold_in(key, i)
            if space.discrete:
                noise[name] = self.noise(jax.random.gumbel, key_i, shape)
            elif self.sampling:
                noise[name] = jax.random.normal(key_i, shape, self.param_dtype)
            else:
                noise[name] = jnp.full(shape, self.gaussian_offset, self.param_dtype)
        return noise

    def report(self, state: TrainState, batch: Batch, key: Array) -> dict[str, Array]:
        """Heavy metrics of one batch: open-loop predictions and histograms."""
        return report_2025.report(self, state, batch, key)
