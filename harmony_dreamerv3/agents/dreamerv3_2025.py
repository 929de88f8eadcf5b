"""DreamerV3 as upstream has it since 2025, with balanced losses, as pure functions.

Read from top to bottom: one update filters a batch (1), imagines from every posterior (2), trains
actor and critic there (3) and the critic on replayed steps, too (4), adds up all losses (5), and
takes one step of one optimizer (6). `Acting` has the policy and what is read of windows, `Modules`
the networks. `[B, T]` are the rows and trained steps of a batch, K the last steps of each row, from
which imagination starts, N = B K, H the imagined steps; imagined arrays are `[H, N, ...]`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from harmony_dreamerv3 import loss_tasks, prng
from harmony_dreamerv3.agents import base, moving_norm, report_2025
from harmony_dreamerv3.agents.acting_2025 import Acting, Draws, TrainState
from harmony_dreamerv3.agents.base import Batch, Params
from harmony_dreamerv3.agents.moving_norm import NormState
from harmony_dreamerv3.behavior import lambda_return
from harmony_dreamerv3.nets import symexp_twohot as twohot
from harmony_dreamerv3.nets.block_rssm import State, features, imagine, observe
from harmony_dreamerv3.nets.coders import image_loss
from harmony_dreamerv3.nets.distributions import binary_log_prob, categorical_kl, unimix
from harmony_dreamerv3.nets.layers import full, run
from harmony_dreamerv3.nets.vectors import vector_loss

Array = jax.Array
Losses = dict[str, Array]
Aux = dict[str, Any]
sg = jax.lax.stop_gradient


@dataclasses.dataclass(frozen=True)
class Agent(Acting):
    """The 2025 agent for given spaces."""

    # 1. World model

    def world_model(
        self, params: Params, carry: State, batch: Batch, noise: Array
    ) -> tuple[Losses, Aux]:
        """Filters a batch and compares what the latents say with what came.

        Args:
          params: of all modules.
          carry: of the train state.
          batch: `[B, C + T, ...]`; C steps of context, from whose stored latents the rest starts.
          noise: Gumbel noise `[B, T, S, C]` of the posteriors.

        Returns:
          Losses `{name: [B, T]}`, and `obs`, `prev_action`, `tokens`, `post`, `logit`, `prior`,
          `recon`, `reward` and `cont` logits, `[B, T, ...]`, and `start` `[B, ...]`.
        """
        c = self.config.agent
        obs, start, prev_action = self.window(carry, batch)
        tokens = run(self.encoder, params["encoder"], obs)
        post, logit, prior = observe(
            self.rssm, params["rssm"], start, tokens, prev_action, obs["is_first"], noise
        )
        p, q = (unimix(x, c.rssm.unimix) for x in (logit, prior))
        # One KL twice: dyn trains the prior, rep the posterior, a tenth as much.
        losses = {
            "dyn": jnp.maximum(categorical_kl(sg(p), q), c.free_nats),
            "rep": jnp.maximum(categorical_kl(p, sg(q)), c.free_nats),
        }
        recon = run(self.decoder, params["decoder"], post["deter"], post["stoch"])
        losses |= {key: image_loss(recon[key], obs[key]) for key in self.images}
        losses |= {k: vector_loss(recon[k], obs[k], space) for k, space in self.vectors.items()}
        feat = features(post)
        reward = run(self.reward, params["reward"], feat if c.reward_grad else sg(feat))
        losses["reward"] = twohot.loss(reward, obs["reward"])
        cont = run(self.cont, params["cont"], feat)
        target = 1.0 - obs["is_terminal"].astype(cont.dtype)
        # The head learns the discounted chance to go on, so that (3) need not discount.
        losses["cont"] = -binary_log_prob(cont, target * (self.discount if c.contdisc else 1.0))
        return losses, {
            "obs": obs, "start": start, "prev_action": prev_action, "tokens": tokens, "post": post,
            "logit": logit, "prior": prior, "recon": recon, "reward": reward, "cont": cont,
        }  # fmt: skip

    # 2. Imagination

    def imagine(self, params: Params, post: State, draws: Draws) -> Aux:
        """Rolls the prior forward under the policy, from posteriors `[N, ...]`.

        Returns:
          `feat` `[H + 1, N, F]`, `action` `{key: [H + 1, N, A]}`, `states` and their `logit`
          `[H, N, ...]`. Gradients pass through the first feature alone, if at all.
        """

        def act(state: State, noise: Mapping[str, Array]) -> dict[str, Array]:
            dists = run(self.actor, held["actor"], features(state))
            return {key: dists[key].sample(noise[key]) for key in dists}

        held = sg(params)  # Actions are judged (3), not improved through the model.
        head, last = ({k: x[at] for k, x in draws.action.items()} for at in (slice(-1), -1))
        start = sg(post)
        states, logit, action = imagine(self.rssm, held["rssm"], start, act, (head, draws.latent))
        final = act(jax.tree.map(lambda x: x[-1], states), last)
        action = jax.tree.map(lambda xs, x: jnp.concatenate([xs, x[None]]), action, final)
        root = features(post if self.config.agent.ac_grads else start)
        feat = jnp.concatenate([root[None], sg(features(states))])
        return {"feat": feat, "action": sg(action), "states": states, "logit": logit}

    # 3. Actor and critic

    def actor_critic(
        self, params: Params, state: TrainState, traj: Aux
    ) -> tuple[Losses, dict[str, NormState], Aux]:
        """REINFORCE with entropy bonus, and λ-returns for the critic, on imagined states.

        Returns:
          `policy` and `value` losses `[H, N]`; normalisers after; what they were computed from.
        """
        c, norms, feat = self.config.agent, dict(state.norms), traj["feat"]
        reward = twohot.mean(run(self.reward, params["reward"], feat))
        # Predicted at every state, also at the root, where the 2023 base takes the true flag.
        cont = jax.nn.sigmoid(run(self.cont, params["cont"], feat))
        gamma = 1.0 if c.contdisc else self.discount
        weight = sg(jnp.cumprod(gamma * cont, 0) / gamma)
        critics = self.values(params, state.slow_critic, feat, norms["valnorm"])
        v = sg(critics.slow if c.slow_target else critics.value)
        returns = sg(lambda_return(reward[1:], cont[1:], v[1:], gamma, c.return_lambda))

        # Normalisers see a batch before they normalise it.
        norms["retnorm"] = moving_norm.update(norms["retnorm"], returns, c.retnorm)
        _, return_scale = moving_norm.stats(norms["retnorm"], c.retnorm)
        advantage = (returns - v[:-1]) / return_scale
        norms["advnorm"] = moving_norm.update(norms["advnorm"], advantage, c.advnorm)
        offset, scale = moving_norm.stats(norms["advnorm"], c.advnorm)
        normed = (advantage - offset) / scale
        dists = run(self.actor, params["actor"], feat)
        logp = {key: dists[key].log_prob(traj["action"][key]) for key in dists}
        entropy = {key: dists[key].entropy() for key in dists}
        # Discrete and continuous alike; several action keys are one joint action.
        gain = sum(logp.values())[:-1] * normed + c.actent * sum(entropy.values())[:-1]

        norms["valnorm"] = moving_norm.update(norms["valnorm"], returns, c.valnorm)
        nll = critics.loss(self.normed(returns, norms["valnorm"]), c.slowreg)
        return {"policy": -weight[:-1] * gain, "value": weight[:-1] * nll}, norms, {
            "rew": reward, "con": cont, "weight": weight, "val": critics.value,
            "slowval": critics.slow, "ret": returns, "adv": advantage, "adv_normed": normed,
            "retnorm_scale": return_scale, "dists": dists, "logp": logp, "entropy": entropy,
        }  # fmt: skip

    # 4. The critic on replayed steps

    def replay_value(
        self, params: Params, state: TrainState, world: Aux, boot: Array, norm: NormState
    ) -> tuple[Array, NormState, Aux]:
        """λ-returns of true rewards that bootstrap from imagined returns.

        Args:
          params: of all modules.
          state: for the slow critic.
          world: of `world_model`.
          boot: `[B, K]`, imagined returns of the last K replayed states.
          norm: statistics of valnorm.

        Returns:
          Losses `[B, K - 1]`, the statistics after, and `boot`, `ret`, `val`, `slowval`.
        """
        c, count = self.config.agent, boot.shape[1]
        feat = features(jax.tree.map(lambda x: x[:, -count:], world["post"]))
        feat = feat if c.repval.grad else sg(feat)
        critics = self.values(params, state.slow_critic, feat.swapaxes(0, 1), norm)
        names = ("reward", "is_terminal", "is_last")
        reward, terminal, last = (full(world["obs"][key][:, -count:]).T for key in names)
        # Where an episode ends without being terminal, all weight lies on the bootstrap.
        lam = (1 - last[1:]) * c.repval.return_lambda
        returns = lambda_return(reward[1:], 1 - terminal[1:], boot.T[1:], self.discount, lam)
        norm = moving_norm.update(norm, returns, c.valnorm)
        # The step after an end is of another episode.
        loss = (1 - last[:-1]) * critics.loss(self.normed(returns, norm), c.repval.slowreg)
        aux = {"boot": boot.T, "ret": returns, "val": critics.value, "slowval": critics.slow}
        return loss.T, norm, jax.tree.map(jnp.transpose, aux)

    # 5. One loss

    def losses(
        self, params: Params, state: TrainState, batch: Batch, draws: Draws
    ) -> tuple[Losses, Aux]:
        """Losses `[B, T]`, of policy, value `[B, K]`, of repval `[B, K - 1]`; what led to them."""
        losses, world = self.world_model(params, state.carry, batch, draws.post)
        rows, count = len(world["tokens"]), self.starts(batch)
        post = jax.tree.map(
            lambda x: x[:, -count:].reshape(rows * count, *x.shape[2:]), world["post"]
        )
        traj = self.imagine(params, post, draws)
        imagined, norms, imag = self.actor_critic(params, state, traj)
        losses |= {name: x.mean(0).reshape(rows, count) for name, x in imagined.items()}
        boot = imag["ret"][0].reshape(rows, count)
        losses["repval"], norms["valnorm"], repl = self.replay_value(
            params, state, world, boot, norms["valnorm"]
        )
        imag |= {**traj, **{f"loss_{name}": x for name, x in imagined.items()}}
        return losses, {"norms": norms, "world": world, "imag": imag, "repl": repl}

    def loss(
        self, params: Params, state: TrainState, batch: Batch, draws: Draws
    ) -> tuple[Array, Aux]:
        """The balanced sum of all losses; beside what `losses` returns, `balance` after."""
        return loss_tasks.balanced(
            self.balancer, params["balance"], state.balance,
            lambda params: self.losses(params, state, batch, draws), params,
        )  # fmt: skip

    # 6. One update

    def train_step(self, state: TrainState, batch: Batch) -> tuple[TrainState, dict, dict]:
        """Makes one update with a batch `[B, C + T, ...]`; see `base.Agent`.

        The outputs are the latents `[B, T, ...]` that replace the stored ones. From a loss or
        gradient on that is not finite nothing changes any more.
        """
        draws = self.draws(prng.for_update(state.key, state.updates, 3), batch)
        grad = jax.value_and_grad(self.loss, has_aux=True)
        (total, aux), grads = grad(state.params, state, batch, draws)
        means = [x.mean() for x in aux["losses"].values()]
        params, new, norm = base.step(
            state, "opt", self.optimizer, state.params, grads, total, *means
        )
        # The slow critic follows the critic just updated.
        slow = self.config.agent.slow_critic
        rate = jnp.where(state.updates % slow.every == 0, slow.rate, 0.0)
        post = jax.tree.map(lambda x: x[:, -1], aux["world"]["post"])
        after = {
            "slow_critic": optax.incremental_update(params["critic"], state.slow_critic, rate),
            **{name: aux[name] for name in ("norms", "balance")},
            "carry": {**post, "action": self.joined_actions(batch)[:, -1]} if state.carry else {},
        }
        before = {name: getattr(state, name) for name in after}
        new = new.replace(params=params, **base.unless_dead(new.alive, after, before))
        new = new.replace(updates=state.updates + new.alive.astype(jnp.int32))
        metrics = report_2025.metrics(self, aux, grads, total, norm)
        return new, self.stored(aux["world"]["post"]), metrics
