"""DreamerV2 with harmonized world-model losses, and DreamerPro: the paper's own method.

The file follows one update; acting is in `dreamerv2_frame`, batches and draws in `dreamerv2_data`.
DreamerPro differs in what the latents must explain (`observation: prototypes` in the place of a
decoder), in its Gaussian latents and its squashed policy; all of it is configuration.

Sources: Hafner et al. 2021, Ma et al. 2024 (HarmonyDream Eq. 1-7, 16-17), Deng et al. 2022.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from harmony_dreamerv3 import loss_tasks, prng
from harmony_dreamerv3.agents import base
from harmony_dreamerv3.agents.base import Batch, Params
from harmony_dreamerv3.agents.dreamerv2_frame import Frame, TrainState, act
from harmony_dreamerv3.behavior import lambda_return
from harmony_dreamerv3.nets import prototypes, rssm_v2
from harmony_dreamerv3.nets.distributions import binary_log_prob
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.nets.rssm_v2 import State, divergence, features, imagine, observe

Array = jax.Array
sg = jax.lax.stop_gradient


class Trajectory(NamedTuple):
    """What was imagined from N starts, which have the index 0."""

    states: State  # [H + 1, N, ...]
    action: Array  # [H, N, A], taken in states 0..H-1
    reward: Array  # [H + 1, N], of each state
    discount: Array  # [H + 1, N], between a state and the next
    weight: Array  # [H + 1, N], product of the discounts before


@dataclasses.dataclass(frozen=True)
class Agent(Frame):
    """DreamerV2 or DreamerPro for given spaces; see `base.Agent` and `Frame`."""

    # 1. The world model explains a batch.

    def model_losses(
        self, model: Params, state: TrainState, batch: Batch, key: Array
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Unweighted losses.

        Args:
          model: parameters of the world model.
          state: gives moving statistics and copies.
          batch: windows `[B, T, ...]`; with prototypes every row counts twice from here on.
          key: of the latents' draws and the views' shifts.

        Returns:
          Losses by name: `[B, T]`, or scalars where they are a function of means (`dyn`, `rep`,
          `norm`); and `post`, `prior`, `embed`, predictions, `is_terminal`, `stats` after.
        """
        net, c, k_latent, k_shift = self.net, self.c, *jax.random.split(key)
        obs = self.prepare(batch, k_shift)
        rows, steps = obs["is_first"].shape
        embed, stats = net.train("encoder", model, state.stats, obs)
        noise = self.latent_noise(k_latent, (rows, steps))
        actions, resets, start = self.previous_actions(obs), self.resets(obs), self.start(rows)
        post, prior = observe(net.rssm, model["rssm"], embed, actions, resets, noise, start)
        feat = features(post)
        aux: dict[str, Any] = {"post": post, "prior": prior, "embed": embed}
        losses: dict[str, Array] = {}
        # What the latents must explain: prototypes of two views, or the observations themselves.
        if net.prototypes:
            losses, aux["slot"] = net.prototype_losses(model, state.target, obs, embed, feat)
        else:
            aux["slot"], stats = net.train("decoder", model, stats, feat)
            for name, mean in aux["slot"].items():
                # A normal of unit variance without its constant, summed over the observation.
                axes = tuple(range(2, mean.ndim))
                losses[name] = 0.5 * jnp.square(mean - obs[name]).sum(axes)
        aux["reward"] = run(net.reward, model["reward"], feat)
        losses["reward"] = 0.5 * jnp.square(aux["reward"] - self.learned_reward(obs["reward"]))
        if c.predict_discount:
            logit = run(net.discount, model["discount"], feat)
            soft = c.discount * (1.0 - obs["is_terminal"].astype(logit.dtype))
            losses["discount"] = -binary_log_prob(logit, soft)
            aux["discount"] = jax.nn.sigmoid(logit)
        # Free nats bound the mean over the batch: below them neither side feels the KL. The two
        # losses are one number with two gradients, weighed kl_balance to 1 - kl_balance (Eq. 15).
        kl = divergence(sg(post), prior), divergence(post, sg(prior))
        losses["dyn"], losses["rep"] = (jnp.maximum(x.mean(), c.free_nats) for x in kl)
        return losses, {**aux, "kl": kl[0], "stats": stats, "is_terminal": obs["is_terminal"]}

    # 2. Its losses are balanced.

    def model_loss(
        self, params: Params, state: TrainState, batch: Batch, key: Array
    ) -> tuple[Array, dict[str, Any]]:
        """Balanced loss of `params` = {'world_model', 'balance'}: scalar, and everything else."""
        return loss_tasks.balanced(
            self.balancer, params["balance"], state.balance,
            lambda model: self.model_losses(model, state, batch, key), params["world_model"],
        )  # fmt: skip

    # 3. The policy is imagined.

    def imagine(
        self, model: Params, actor: Params, start: State, is_terminal: Array, key: Array
    ) -> Trajectory:
        """Rolls the policy out for H steps from states `[N, ...]`."""
        net, c = self.net, self.c
        shape, (k_action, k_latent) = (c.imag_horizon, len(is_terminal)), jax.random.split(key)
        # REINFORCE needs no gradient through the rollout.
        actor = sg(actor) if net.discrete else actor
        states, action = imagine(
            net.rssm, model["rssm"], start,
            lambda feat, noise: act(net.policy(actor, feat), noise),
            self.action_noise(k_action, shape), self.latent_noise(k_latent, shape),
        )  # fmt: skip
        feat = features(states)
        reward = run(net.reward, model["reward"], feat)
        discount = jnp.full_like(reward, c.discount)
        if c.predict_discount:
            # The head's probability contains γ; what follows the start is known from the data.
            first = c.discount * (1.0 - is_terminal.astype(reward.dtype))
            predicted = jax.nn.sigmoid(run(net.discount, model["discount"], feat[1:]))
            discount = jnp.concatenate([first[None], predicted])
        weight = jnp.cumprod(jnp.concatenate([jnp.ones_like(discount[:1]), discount[:-1]]), 0)
        return Trajectory(states, action, reward, discount, sg(weight))

    # 4. Actor and critic learn from it.

    def actor_loss(
        self, actor: Params, state: TrainState, start: State, is_terminal: Array, key: Array
    ) -> tuple[Array, dict[str, Any]]:
        """Imagination, and the actor's loss: higher returns, and entropy.

        Returns:
          Scalar; `traj`, `value` `[H + 1, N]`, `returns` and the critic's `target` `[H, N]`;
          `entropy` of the states whose actions count.
        """
        net, c, k_roll, k_entropy = self.net, self.c, *jax.random.split(key)
        traj = self.imagine(state.params["world_model"], actor, start, is_terminal, k_roll)
        feat = features(traj.states)
        value = run(net.critic, state.slow_critic, feat)
        # R_t = r_t + d_t ((1 - λ) v_{t+1} + λ R_{t+1}): V2 counts the reward of the state itself.
        steps = (traj.reward[:-1], traj.discount[:-1], value[1:])
        returns = lambda_return(*steps, 1.0, c.return_lambda)
        # An action in state t earns R_{t+1}. DreamerPro takes R_t, so one more state counts.
        first = 0 if c.start_return and not net.discrete else 1
        acted = slice(0, c.imag_horizon - first)
        policy = net.policy(actor, feat[acted])
        entropy = policy.entropy(self.entropy_noise(k_entropy, value[acted].shape))
        if net.discrete:
            advantage = sg(returns[first:] - value[acted])
            objective = policy.log_prob(sg(traj.action[acted])) * advantage
        else:
            objective = returns[first:]  # differentiable in the actions
        loss = -(traj.weight[acted] * (objective + c.actent * entropy)).mean()
        target = sg(returns)
        if c.entropy_in_critic_target and not net.discrete:  # a slip of the torch code
            target = target.at[first:].add(c.actent * sg(entropy))
        aux = {"traj": traj, "value": value, "returns": returns, "target": target}
        return loss, {**aux, "entropy": entropy}

    def critic_loss(self, critic: Params, traj: Trajectory, target: Array) -> Array:
        """Squared error to the targets `[H, N]` of states 0..H-1."""
        value = run(self.net.critic, critic, sg(features(traj.states))[:-1])
        return (0.5 * jnp.square(value - target) * traj.weight[:-1]).mean()

    # One update.

    def train_step(self, state: TrainState, batch: Batch) -> tuple[TrainState, dict, dict]:
        """World model and balance, moving copies, actor, critic, slow critic; see `base.Agent`.

        From the first part on whose loss or gradient is not finite nothing changes any more.
        """
        k_model, k_behavior = prng.for_update(state.key, state.updates)
        new, aux, metrics = self.train_model(state, batch, k_model)
        # Imagination starts from the posteriors of before the update, in the model after it.
        start, is_terminal = jax.tree.map(
            lambda x: sg(x).reshape(-1, *x.shape[2:]), (aux["post"], aux["is_terminal"])
        )
        new, more = self.train_behavior(new, start, is_terminal, k_behavior)
        new = new.replace(updates=state.updates + new.alive.astype(jnp.int32))
        return new, {}, {**metrics, **more}

    def train_model(
        self, state: TrainState, batch: Batch, key: Array
    ) -> tuple[TrainState, dict[str, Any], dict[str, Array]]:
        """The first part of an update: state after, what `model_loss` returns, metrics."""
        old = dict(self.trained(state.params))["model"]
        params = prototypes.with_unit(old)
        grad = jax.value_and_grad(self.model_loss, has_aux=True)
        (total, aux), grads = grad(params, state, batch, key)
        grads = prototypes.without_frozen(grads, state.updates < self.c.prototypes.freeze)
        means = {name: loss.mean() for name, loss in aux["losses"].items()}
        params, new, norm = base.step(
            state, "model", self.optimizers["model"], params, grads, total, *means.values()
        )
        target = self.net.moved(state.target, params["world_model"], state.updates)
        params = base.unless_dead(new.alive, params, old) if self.net.prototypes else params
        after = {"balance": aux["balance"], "stats": aux["stats"], "target": target}
        before = {name: getattr(state, name) for name in after}
        reward = optax.tree.norm(grads["world_model"]["reward"])
        metrics = {
            "loss/model": total, **{f"loss/{name}": value for name, value in means.items()},
            **{f"balance/{name}": value for name, value in aux["metrics"].items()},
            "kl": aux["kl"].mean(), "prior_entropy": rssm_v2.entropy(aux["prior"]).mean(),
            "post_entropy": rssm_v2.entropy(aux["post"]).mean(), "grad_norm/model": norm,
            "grad_share/reward": reward / jnp.maximum(norm, 1e-20),
        }  # fmt: skip
        after = base.unless_dead(new.alive, after, before)
        return new.replace(params={**state.params, **params}, **after), aux, metrics

    def train_behavior(
        self, state: TrainState, start: State, is_terminal: Array, key: Array
    ) -> tuple[TrainState, dict[str, Array]]:
        """The second part, from states `[N, ...]`: state after, metrics."""
        params, grad = dict(state.params), jax.value_and_grad(self.actor_loss, has_aux=True)
        (actor_loss, aux), grads = grad(params["actor"], state, start, is_terminal, key)
        params["actor"], new, actor_norm = base.step(
            state, "actor", self.optimizers["actor"], params["actor"], grads, actor_loss
        )
        traj, critic = sg(aux["traj"]), params["critic"]
        critic_loss, grads = jax.value_and_grad(self.critic_loss)(critic, traj, aux["target"])
        params["critic"], new, critic_norm = base.step(
            new, "critic", self.optimizers["critic"], critic, grads, critic_loss
        )
        copy = new.alive & (state.updates % self.c.slow_critic_every == 0)  # 1st, 101st, ...
        slow = base.unless_dead(copy, params["critic"], state.slow_critic)
        metrics = {
            "loss/actor": actor_loss, "loss/critic": critic_loss,
            "return_mean": aux["returns"].mean(), "return_std": aux["returns"].std(),
            "reward_mean": traj.reward.mean(), "value_mean": aux["value"].mean(),
            "discount_mean": traj.discount.mean(), "policy_entropy": aux["entropy"].mean(),
            "grad_norm/actor": actor_norm, "grad_norm/critic": critic_norm,
        }  # fmt: skip
        return new.replace(params=params, slow_critic=slow), metrics
