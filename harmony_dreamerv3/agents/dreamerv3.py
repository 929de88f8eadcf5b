"""The agent: DreamerV3 with harmonized world-model losses, as pure functions of a TrainState.

`Agent` holds what does not change (configuration, spaces, modules); every function takes and
returns frozen pytrees and works under `jax.vmap` with a leading axis of learners.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from embodied.core.space import Space
from harmony_dreamerv3 import loss_tasks, normalize, optim
from harmony_dreamerv3.agents import base, openloop
from harmony_dreamerv3.balance import Balancer
from harmony_dreamerv3.behavior import Behavior, Params, Trajectory
from harmony_dreamerv3.config import Config
from harmony_dreamerv3.nets.deferred import Layers
from harmony_dreamerv3.nets.rssm import State, features
from harmony_dreamerv3.world_model import Batch, WorldModel, check_keys

Array = jax.Array
sg = jax.lax.stop_gradient


class TrainState(base.TrainState):
    """Everything that an update reads and writes.

    `params` are {'world_model', 'balance', 'actor', 'critic'}, `opt` {'model', 'actor', 'critic'}.
    """

    slow_critic: Params
    return_scale: normalize.ReturnScale


@dataclasses.dataclass(frozen=True)
class Agent:
    """Harmony DreamerV3 for given spaces.

    Attributes:
      config: the whole configuration.
      obs_space: observation space.
      act_space: `{'action': Space}`.
      sampling: False replaces every random draw by its mode.
    """

    config: Config
    obs_space: Mapping[str, Space]
    act_space: Mapping[str, Space]
    sampling: bool = True

    def __post_init__(self) -> None:
        check_keys(self.obs_space, self.config.agent)
        _ = self.balancer  # wrong options fail here, not while tracing

    @functools.cached_property
    def dtype(self) -> Any:
        """Dtype of the computation."""
        return jnp.dtype(self.config.jax.precision)

    @functools.cached_property
    def param_dtype(self) -> Any:
        """Dtype of parameters, losses and optimizer: float32, or float64 when computing so."""
        return jnp.promote_types(self.dtype, jnp.float32)

    @functools.cached_property
    def wm(self) -> WorldModel:
        """The world model."""
        return WorldModel(self.config.agent, self.obs_space, self.actions, self.dtype)

    @functools.cached_property
    def behavior(self) -> Behavior:
        """Actor and critic."""
        discrete = self.act_space["action"].discrete
        return Behavior(self.config.agent, self.actions, discrete, self.dtype)

    @functools.cached_property
    def balancer(self) -> Balancer:
        """The loss balancer."""
        scales = dataclasses.asdict(self.config.agent.loss_scales)
        losses = loss_tasks.describe(self.wm.images, self.wm.vectors, scales)
        return loss_tasks.make_balancer(self.config.balance, losses)

    @functools.cached_property
    def optimizers(self) -> dict[str, optax.GradientTransformationExtraArgs]:
        """One optax chain each for model (with balance), actor and critic."""
        c = self.config.agent
        configs = {"model": c.model_opt, "actor": c.actor_opt, "critic": c.critic_opt}
        chains = {name: optim.make(config) for name, config in configs.items()}
        return {**chains, "model": loss_tasks.with_balance(chains["model"], self.config.balance)}

    @property
    def actions(self) -> int:
        """Size A of the action vector."""
        return self.act_space["action"].shape[0]

    def init(self, key: Array) -> TrainState:
        """Draws a fresh state.

        Args:
          key: `[2]` uint32 threefry key; all draws of the run derive from it.
        """
        keys = jax.random.split(jax.random.fold_in(key, 2**31), 3)
        feat = jnp.zeros((1, self.wm.feature_size))
        balance_params, balance_state = self.balancer.init()
        params = {
            "world_model": self.wm.init(keys[0]),
            "balance": balance_params,
            "actor": self.behavior.actor.init(keys[1])["params"],
            "critic": self.behavior.critic.init(keys[2], feat)["params"],
        }
        params = jax.tree.map(lambda x: x.astype(self.param_dtype), params)
        return TrainState(
            params=params,
            slow_critic=jax.tree.map(jnp.copy, params["critic"]),
            return_scale=normalize.ReturnScale.zeros(self.param_dtype),
            balance=balance_state,
            opt={
                "model": self.optimizers["model"].init(self._model(params)),
                "actor": self.optimizers["actor"].init(params["actor"]),
                "critic": self.optimizers["critic"].init(params["critic"]),
            },
            updates=jnp.zeros((), jnp.int32),
            key=key,
            alive=jnp.ones((), bool),
        )

    def initial_carry(self, rows: int) -> State:
        """The policy's state before the first observation, for `rows` environments."""
        c = self.config.agent.rssm
        return {
            "deter": jnp.zeros((rows, c.deter), self.dtype),
            "stoch": jnp.zeros((rows, c.stoch, c.classes), self.dtype),
            "action": jnp.zeros((rows, self.actions), self.param_dtype),
        }

    @functools.cached_property
    def obs_keys(self) -> tuple[str, ...]:
        """Keys of observations that the policy reads."""
        return (*self.wm.encoder.cnn_keys, *self.wm.encoder.mlp_keys, "is_first")

    @functools.cached_property
    def batch_keys(self) -> tuple[str, ...]:
        """Keys of windows that an update reads."""
        seen = (*self.obs_keys, *self.wm.images, *self.wm.vectors)
        return tuple(dict.fromkeys((*seen, "reward", "is_terminal", "action")))

    stored_space: ClassVar[Mapping[str, Space]] = {}

    def stored(self, carry: State) -> dict[str, Array]:
        """Nothing of the policy is stored in the replay."""
        del carry
        return {}

    def policy_params(self, state: TrainState) -> Params:
        """What acting needs of a state."""
        model = state.params["world_model"]
        return {
            "world_model": {name: model[name] for name in ("encoder", "rssm")},
            "actor": state.params["actor"],
        }

    def report(self, state: TrainState, batch: Batch, key: Array) -> dict[str, Any]:
        """Heavy metrics of one batch; see `openloop.report`."""
        return openloop.report(self, state, batch, key)

    def policy(
        self, params: Params, carry: State, obs: Batch, key: Array, mode: str
    ) -> tuple[State, Array]:
        """Chooses actions, drawn from the policy in both modes.

        Args:
          params: `{'world_model': ..., 'actor': ...}`.
          carry: latent state and last action, `[N, ...]`.
          obs: observations `[N, ...]` with `is_first`.
          key: threefry key of this step.
          mode: `train` or `eval`.

        Returns:
          The next carry and actions `[N, A]`.
        """
        del mode
        obs = {k: v[:, None] for k, v in obs.items()}
        rows = len(carry["deter"])
        c = self.config.agent.rssm
        k_latent, k_action = jax.random.split(key)
        noise = self._gumbel(k_latent, (rows, 1, c.stoch, c.classes))
        latent = {k: carry[k] for k in ("deter", "stoch")}
        post, _, _ = self.wm.observe(
            params["world_model"], obs, carry["action"][:, None], noise, latent
        )
        post = {k: v[:, 0] for k, v in post.items()}
        noise = self._action_noise(k_action, (rows,))
        layers = Layers(self.behavior.policy_weights(params["actor"]), self.dtype)
        action, _ = self.behavior.sample(layers, features(post), noise)
        carry = {"deter": post["deter"], "stoch": post["stoch"], "action": action}
        return carry, action

    def train_step(self, state: TrainState, batch: Batch) -> tuple[TrainState, dict, dict]:
        """One update, in this order: world model and balance, actor, critic, slow critic.

        Args:
          state: before the update.
          batch: windows `[B, T, ...]` of observations, reward, is_first, is_terminal, action.

        Returns:
          The state after, no outputs, and scalar metrics. From the first
          part on whose loss or gradient is not finite nothing changes any more, and the state
          is no longer alive.
        """
        keys = jax.random.split(jax.random.fold_in(state.key, state.updates), 2)
        new, model = self._update_model(state, batch, keys[0])
        new, behavior = self._update_behavior(new, model.pop("post"), batch, keys[1])
        new = new.replace(updates=state.updates + new.alive.astype(jnp.int32))
        return new, {}, {**model, **behavior}

    def model_loss(
        self, params: Params, state: TrainState, batch: Batch, noise: Array
    ) -> tuple[Array, dict[str, Any]]:
        """Balanced world-model loss of `params` = `{'world_model', 'balance'}`.

        Returns:
          Scalar total, and `losses` `[B, T]`, `balance` state after, `metrics`, and what
          `WorldModel.losses` returns.
        """
        losses, aux = self.wm.losses(params["world_model"], batch, noise)
        held = jax.tree.map(sg, losses)
        if self.balancer.needs_task_grads:
            model = state.params["world_model"]

            def losses_by(shared: Params) -> dict[str, Array]:
                return self.wm.losses({**model, **shared}, batch, noise)[0]

            shared = {name: model[name] for name in ("encoder", "rssm")}
            task_grads = functools.partial(loss_tasks.task_grads, self.balancer, losses_by, shared)
            balance = self.balancer.update(state.balance, held, task_grads)
        else:
            balance = self.balancer.update(state.balance, held)
        total, metrics = self.balancer.apply(params["balance"], balance, losses)
        return total, {**aux, "losses": losses, "balance": balance, "metrics": metrics}

    def imagine(
        self, world_model: Params, actor: Params, post: State, is_terminal: Array, key: Array
    ) -> tuple[Trajectory, State]:
        """Imagines H steps from every posterior.

        Args:
          world_model: parameters of the world model.
          actor: parameters of the actor.
          post: posteriors `[N, ...]`.
          is_terminal: `[N]` bool, of the starts.
          key: threefry key.

        Returns:
          The trajectory and its latent states `[H + 1, N, ...]`.
        """
        c, rows = self.config.agent, len(is_terminal)
        k_action, k_latent = jax.random.split(key)
        action_noise = self._action_noise(k_action, (c.imag_horizon + 1, rows))
        noise = self._gumbel(k_latent, (c.imag_horizon, rows, c.rssm.stoch, c.rssm.classes))
        # REINFORCE needs no gradient through the rollout.
        roll_actor = sg(actor) if self.behavior.discrete else actor

        weights = self.behavior.policy_weights(roll_actor)

        def act(layers: Layers, latent: State, eps: Array) -> tuple[Array, Any]:
            return self.behavior.sample(layers, features(latent), eps)

        states, action, kept = self.wm.imagine(world_model, post, act, weights, action_noise, noise)
        feat = features(states)
        reward, cont = self.wm.predict(world_model, feat[1:])
        first = 1.0 - is_terminal.astype(cont.dtype)
        cont = jnp.concatenate([first[None], (cont > 0.5).astype(cont.dtype)])
        gamma = self.behavior.discount
        weight = jnp.cumprod(gamma * cont, 0) / gamma
        return Trajectory(feat, action, reward, cont, weight, kept), states

    def _update_model(
        self, state: TrainState, batch: Batch, key: Array
    ) -> tuple[TrainState, dict[str, Any]]:
        c = self.config.agent.rssm
        noise = self._gumbel(key, (*batch["is_first"].shape, c.stoch, c.classes))
        params = self._model(state.params)
        grad = jax.value_and_grad(self.model_loss, has_aux=True)
        (total, aux), grads = grad(params, state, batch, noise)
        means = {name: loss.mean() for name, loss in aux["losses"].items()}
        params, new, norm = base.step(
            state, "model", self.optimizers["model"], params, grads, total, *means.values()
        )
        reward_norm = optax.tree.norm(grads["world_model"]["reward"])
        metrics = {
            "post": jax.tree.map(sg, aux["post"]),
            "loss/model": total,
            **{f"loss/{k}": v for k, v in means.items()},
            **{f"balance/{k}": v for k, v in aux["metrics"].items()},
            **self.wm.latent_metrics(aux["post"], aux["prior"]),
            "grad_norm/model": norm,
            "grad_share/reward": reward_norm / jnp.maximum(norm, 1e-20),
        }
        balance = base.unless_dead(new.alive, aux["balance"], state.balance)
        return new.replace(params={**state.params, **params}, balance=balance), metrics

    def actor_loss(
        self, actor: Params, state: TrainState, post: State, is_terminal: Array, key: Array
    ) -> tuple[Array, dict[str, Any]]:
        """Imagination and actor loss as a function of the actor's parameters.

        Returns:
          Scalar loss; `traj`, `states`, and what `Behavior.actor_loss` returns.
        """
        world_model = state.params["world_model"]
        traj, states = self.imagine(world_model, actor, post, is_terminal, key)
        critic = state.params["critic"]
        loss, aux = self.behavior.actor_loss(actor, critic, traj, state.return_scale)
        return loss, {**aux, "traj": traj._replace(policy=None), "states": states}

    def _update_behavior(
        self, state: TrainState, post: State, batch: Batch, key: Array
    ) -> tuple[TrainState, dict[str, Any]]:
        post = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), post)
        is_terminal = batch["is_terminal"].reshape(-1)
        params, critic = dict(state.params), state.params["critic"]
        grad = jax.value_and_grad(self.actor_loss, has_aux=True)
        (actor_loss, aux), grads = grad(params["actor"], state, post, is_terminal, key)
        params["actor"], new, actor_norm = base.step(
            state, "actor", self.optimizers["actor"], params["actor"], grads, actor_loss
        )
        traj = jax.tree.map(sg, aux["traj"])
        logits, pull = aux["critic"]
        critic_loss, by_logits = jax.value_and_grad(self.behavior.value_loss)(
            logits, state.slow_critic, traj.feat[:-1], aux["returns"], traj.weight[:-1]
        )
        (grads,) = pull(by_logits)
        params["critic"], new, critic_norm = base.step(
            new, "critic", self.optimizers["critic"], critic, grads, critic_loss
        )
        # Copied at the first update, moved towards the critic after every later one.
        mix = jnp.where(state.updates == 0, 1.0, self.config.agent.slow_critic_fraction)
        mix = mix.astype(self.param_dtype)
        slow = jax.tree.map(
            lambda s, p: mix * p + (1 - mix) * s, state.slow_critic, params["critic"]
        )
        metrics = {
            "loss/actor": actor_loss,
            "loss/critic": critic_loss,
            **aux["metrics"],
            "grad_norm/actor": actor_norm,
            "grad_norm/critic": critic_norm,
        }
        slow = base.unless_dead(new.alive, slow, state.slow_critic)
        scale = base.unless_dead(new.alive, aux["scale"], state.return_scale)
        return new.replace(params=params, slow_critic=slow, return_scale=scale), metrics

    def _model(self, params: Params) -> Params:
        return {name: params[name] for name in ("world_model", "balance")}

    def _gumbel(self, key: Array, shape: tuple[int, ...]) -> Array:
        if not self.sampling:
            return jnp.zeros(shape, self.param_dtype)
        return jax.random.gumbel(key, shape, self.param_dtype)

    def _action_noise(self, key: Array, shape: tuple[int, ...]) -> Array:
        if not self.sampling:
            return jnp.zeros((*shape, self.actions), self.param_dtype)
        return self.behavior.noise(key, shape, self.param_dtype)
