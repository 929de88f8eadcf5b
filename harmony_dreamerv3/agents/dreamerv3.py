"""DreamerV3 of 2023 with harmonized world-model losses, in the order in which it computes.

The world model turns observations into latent states and learns to predict the next state, the
observation, the reward and the end of the episode. Actor and critic learn from trajectories that
the world model imagines; real steps train the world model, and imagination starts from them.
Modules and formulas: world_model.py, behavior.py, nets/. All is pure, over a frozen TrainState;
what is drawn at random comes in as noise, of which zeros give the most probable draw.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

from embodied.core.env import MASK
from harmony_dreamerv3 import loss_tasks, prng
from harmony_dreamerv3.agents import base
from harmony_dreamerv3.agents.base import Batch, Params
from harmony_dreamerv3.agents.dreamerv3_frame import Frame
from harmony_dreamerv3.behavior import ReturnScale, Trajectory
from harmony_dreamerv3.nets import fast, rssm
from harmony_dreamerv3.nets.rssm import State, features

Array = jax.Array
sg = jax.lax.stop_gradient
MODEL = ("world_model", "balance")  # What the optimizer `model` trains.


class TrainState(base.TrainState):
    """Everything that an update reads and writes.

    Of all agents: `params` {'world_model', 'balance', 'actor', 'critic'}, `opt` of the optimizers
    {'model', 'actor', 'critic'}, the balancer's own state `balance`, `updates`, `key`, `alive`.
    """

    slow_critic: Params  # a moving average of the critic's parameters
    return_scale: ReturnScale


@dataclasses.dataclass(frozen=True)
class Agent(Frame):
    """Harmony DreamerV3 for given spaces.

    `Frame` makes from its configuration the world model `wm`, actor and critic `behavior`, the
    `balancer` and `optimizers`, and draws noise.
    """

    def init(self, key: Array) -> TrainState:
        """Draws a fresh state; `key` `[2]` uint32 is that of all its draws."""
        k_model, k_actor, k_critic = prng.for_init(key)
        feat = jnp.zeros((1, self.config.agent.rssm.features))
        balance_params, balance = self.balancer.init()
        params = {
            "world_model": self.wm.init(k_model),
            "balance": balance_params,
            "actor": self.behavior.actor.init(k_actor, feat)["params"],
            "critic": self.behavior.critic.init(k_critic, feat)["params"],
        }
        params = jax.tree.map(lambda x: x.astype(self.param_dtype), params)
        trained = {**params, "model": {name: params[name] for name in MODEL}}
        return TrainState(
            params=params,
            opt={name: chain.init(trained[name]) for name, chain in self.optimizers.items()},
            balance=balance,
            updates=jnp.zeros((), jnp.int32),
            key=key,
            alive=jnp.ones((), bool),
            slow_critic=jax.tree.map(jnp.copy, params["critic"]),
            return_scale=ReturnScale(*jnp.zeros(2, self.param_dtype)),
        )

    def policy(
        self, params: Params, carry: State, obs: Batch, key: Array, mode: str
    ) -> tuple[State, Array]:
        """Updates the latent state by an observation and draws an action, alike in both modes."""
        k_latent, k_action = jax.random.split(key)
        rows = len(carry["deter"])
        chex.assert_shape(obs["is_first"], (rows,))
        window = {k: v[:, None] for k, v in obs.items()}  # Windows of one step, [N, 1, ...].
        noise, prev_action = self.latent_noise(k_latent, (rows, 1)), carry["action"][:, None]
        post, _, _ = self.wm.observe(params["world_model"], window, prev_action, noise, carry)
        latent = {k: post[k][:, 0] for k in ("deter", "stoch")}
        noise = self.action_noise(k_action, (rows,))
        # Imagination knows no mask: only here what is impossible is kept from being chosen.
        action = self.behavior.sample(params["actor"], features(latent), noise, obs.get(MASK))
        chex.assert_shape(action, (rows, self.actions))
        chex.assert_type(action, self.param_dtype)
        return {**latent, "action": action}, action

    def train_step(self, state: TrainState, batch: Batch) -> tuple[TrainState, dict, dict]:
        """One update: world model and balance, actor, critic, slow critic.

        Args:
          state: before the update.
          batch: windows `[B, T, ...]` of observations, reward, is_first, is_terminal, and action
            (the one taken after each observation; the model shifts it to the next step).

        Returns:
          The state after, no outputs for the replay, and scalar metrics. From the first part on
          whose loss or gradient is not finite nothing changes any more, and the state is no longer
          alive.
        """
        k_model, k_behavior = prng.for_update(state.key, state.updates)
        new, post, model_metrics = self.train_model(state, batch, k_model)
        # Every step of every window starts a trajectory: N = B * T. The starts are posteriors that
        # the model computed before its update (to observe again would cost another forward pass);
        # what follows them is imagined by the model after it.
        start, is_terminal = jax.tree.map(
            lambda x: x.reshape(-1, *x.shape[2:]), (post, batch["is_terminal"])
        )
        new, metrics = self.train_behavior(new, start, is_terminal, k_behavior)
        new = new.replace(updates=state.updates + new.alive.astype(jnp.int32))
        return new, {}, {**model_metrics, **metrics}

    def train_model(
        self, state: TrainState, batch: Batch, key: Array
    ) -> tuple[TrainState, State, dict[str, Array]]:
        """Updates world model and balance; also returns posteriors `[B, T, ...]` and metrics."""
        lead = batch["is_first"].shape
        chex.assert_tree_shape_prefix({k: batch[k] for k in self.batch_keys}, lead)
        chex.assert_shape(batch["action"], (*lead, self.actions))
        noise, params = self.latent_noise(key, lead), {k: state.params[k] for k in MODEL}
        grad = jax.value_and_grad(self.model_loss, has_aux=True)
        (loss, aux), grads = grad(params, state, batch, noise)
        means = {name: x.mean() for name, x in aux["losses"].items()}
        # One step of clipping and Adam, which changes nothing unless all of these are finite.
        params, new, norm = base.step(
            state, "model", self.optimizers["model"], params, grads, loss, *means.values()
        )
        balance = base.unless_dead(new.alive, aux["balance"], state.balance)
        metrics = {
            "loss/model": loss,
            **{f"loss/{k}": v for k, v in means.items()},
            **{f"balance/{k}": v for k, v in aux["metrics"].items()},
            **aux["entropies"],
            "grad_norm/model": norm,
            "grad_share/reward": optax.tree.norm(grads["world_model"]["reward"])
            / jnp.maximum(norm, 1e-20),
        }
        new = new.replace(params={**state.params, **params}, balance=balance)
        return new, jax.tree.map(sg, aux["post"]), metrics

    def model_loss(
        self, params: Params, state: TrainState, batch: Batch, noise: Array
    ) -> tuple[Array, dict[str, Any]]:
        """Balanced loss of `params` = `{'world_model', 'balance'}`.

        Returns:
          Scalar total, and `losses` `[B, T]`, `balance` state after, scalar `metrics` of the
          balancer, and what else `WorldModel.losses` returns.
        """
        # Reconstruction of each observation, reward, continue, and the KL between posterior and
        # prior as two losses: dyn with the posterior held, rep with the prior held. The balancer
        # adds them up by task. `balance` parameters, harmony's log σ of each task, are trained with
        # the world model, since both minimise the same total: the sum of L / σ + log(1 + σ) over
        # tasks (HarmonyDream Eq. 5). Its state follows the losses without gradient.
        return loss_tasks.balanced(
            self.balancer, params["balance"], state.balance,
            lambda model: self.wm.losses(model, batch, noise), params["world_model"],
        )  # fmt: skip

    def train_behavior(
        self, state: TrainState, start: State, is_terminal: Array, key: Array
    ) -> tuple[TrainState, dict[str, Array]]:
        """Updates actor, critic and slow critic on trajectories imagined from starts `[N, ...]`."""
        params, critic = state.params, state.params["critic"]
        grad = jax.value_and_grad(self.actor_loss, has_aux=True)
        (actor_loss, aux), grads = grad(params["actor"], state, start, is_terminal, key)
        actor, new, actor_norm = base.step(
            state, "actor", self.optimizers["actor"], params["actor"], grads, actor_loss
        )
        # The critic learns the returns that the actor's advantage was made of: both losses have
        # the same trajectory, and the critic before its update.
        critic_loss, grads = jax.value_and_grad(self.behavior.critic_loss)(
            critic, state.slow_critic, aux["traj"], aux["returns"]
        )
        critic, new, critic_norm = base.step(
            new, "critic", self.optimizers["critic"], critic, grads, critic_loss
        )
        # The slow critic, to whose predictions the critic is held in its loss, is a copy at first
        # and follows slowly after that.
        mix = jnp.where(state.updates == 0, 1.0, self.config.agent.slow_critic_fraction)
        mix = mix.astype(self.param_dtype)
        slow = jax.tree.map(lambda s, p: mix * p + (1 - mix) * s, state.slow_critic, critic)
        metrics = {
            "loss/actor": actor_loss,
            "loss/critic": critic_loss,
            **aux["metrics"],
            "grad_norm/actor": actor_norm,
            "grad_norm/critic": critic_norm,
        }
        slow = base.unless_dead(new.alive, slow, state.slow_critic)
        scale = base.unless_dead(new.alive, aux["scale"], state.return_scale)
        params = {**params, "actor": actor, "critic": critic}
        return new.replace(params=params, slow_critic=slow, return_scale=scale), metrics

    def actor_loss(
        self, actor: Params, state: TrainState, start: State, is_terminal: Array, key: Array
    ) -> tuple[Array, dict[str, Any]]:
        """Imagination and actor loss as a function of the actor's parameters.

        Returns:
          Scalar loss; `traj` and `returns` `[H, N]` without gradient, `scale` after, `metrics`.
        """
        traj = self.imagine(state.params["world_model"], actor, start, is_terminal, key)
        critic, scale = state.params["critic"], state.return_scale
        loss, aux = self.behavior.actor_loss(actor, critic, traj, scale)
        return loss, {**aux, "traj": jax.tree.map(sg, traj)}

    def imagine(
        self, world_model: Params, actor: Params, start: State, is_terminal: Array, key: Array
    ) -> Trajectory:
        """Imagines H steps from states `[N, ...]`, of which `is_terminal` `[N]` end an episode."""
        c, rows = self.config.agent, len(is_terminal)
        k_action, k_latent = jax.random.split(key)
        # One-hot actions learn by REINFORCE, which needs no gradient through the rollout, so that
        # kernels can be cast once before it. That of continuous actions is the gradient of the
        # return through the world model.
        actor = fast.cast(sg(actor), self.dtype) if self.behavior.discrete else actor
        states, action = rssm.imagine(
            self.wm.rssm, world_model["rssm"], start,
            lambda state, noise: self.behavior.sample(actor, features(state), noise),
            self.action_noise(k_action, (c.imag_horizon + 1, rows)),  # Also in the last state.
            self.latent_noise(k_latent, (c.imag_horizon, rows)),
        )  # fmt: skip
        feat = features(states)
        reward, cont = self.wm.predict(world_model, feat[1:])  # `cont` is a probability.
        # Whether the episode goes on at the start is known; of later states it is predicted.
        first = 1.0 - is_terminal.astype(cont.dtype)
        cont = jnp.concatenate([first[None], (cont > 0.5).astype(cont.dtype)])
        # A state counts as much as it is likely to be reached: γ for each step before it, and
        # nothing from the end of the episode on.
        gamma = self.behavior.discount
        weight = jnp.cumprod(gamma * cont, 0) / gamma
        return Trajectory(feat, action, reward, cont, weight, states)
