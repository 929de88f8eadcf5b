"""The plain version of an update: what every speed change is compared with. FROZEN.

Library layers (flax.linen), `lax.scan`, whole inputs concatenated in front of every layer,
everything inside the loops that the equations write there, every forward where it is used.
It passes the golden bundles and is not changed after that; read it to learn the algorithm,
and read harmony_dreamerv3 for the version that trains. Usage, to check it against bundles:

    python -m benchmarks.plain_update tests/golden/*.npz

Two things are shared with the fast version, so that both can be compared to the last digits:
parameters have the same names and shapes, and random draws come as arrays of noise.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from benchmarks import plain_layers as nets
from benchmarks.plain_layers import Array, Params, dense, flat, head, linear
from harmony_dreamerv3.agents.dreamerv3 import Agent, TrainState
from harmony_dreamerv3.behavior import Trajectory
from harmony_dreamerv3.interop import parity, parity_2023
from harmony_dreamerv3.nets import distributions as dist

sg = jax.lax.stop_gradient


class PlainUpdate:
    """The same functions as `Agent`, written plainly.

    Args:
      agent: gives configuration, spaces, initial parameters, balancer and optimizers.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent, self.config, self.wm = agent, agent.config, agent.wm
        self.obs_space, self.act_space = agent.obs_space, agent.act_space
        self.optimizers, self.balancer = agent.optimizers, agent.balancer
        self.dtype, self.param_dtype = agent.dtype, agent.param_dtype
        self.init, self.initial_carry = agent.init, agent.initial_carry
        self.discrete = agent.behavior.discrete
        self.behavior = self  # `critic_loss` is looked up there

    def logits(self, p: Params, x: Array) -> Array:
        c = self.config.agent.rssm
        x = linear(p, x).reshape(*x.shape[:-1], c.stoch, c.classes)
        return dist.unimix(x, c.unimix)

    def prior_step(self, p: Params, state: Params, action: Array, noise: Array) -> Params:
        action = action / sg(jnp.maximum(1.0, jnp.abs(action)))
        x = dense(p["img_in"], jnp.concatenate([flat(state["stoch"]), action], -1))
        gates = jnp.concatenate([state["deter"], x], -1)
        gates = nets.norm(p["gru"]["norm"], linear({"kernel": p["gru"]["kernel"]}, gates))
        reset, cand, update = jnp.split(gates, 3, -1)
        cand = jnp.tanh(nn.sigmoid(reset) * cand)
        update = nn.sigmoid(update - 1.0)
        deter = update * cand + (1.0 - update) * state["deter"]
        logit = self.logits(p["img_stats"], dense(p["img_out"], deter))
        return {"deter": deter, "logit": logit, "stoch": dist.onehot_draw(logit, noise)}

    def posterior(self, p: Params, deter: Array, embed: Array, noise: Array) -> Params:
        x = dense(p["obs_out"], jnp.concatenate([deter, embed], -1))
        logit = self.logits(p["obs_stats"], x)
        return {"deter": deter, "logit": logit, "stoch": dist.onehot_draw(logit, noise)}

    def initial(self, p: Params, rows: int) -> Params:
        deter = jnp.repeat(jnp.tanh(p["initial"])[None], rows, 0)
        logit = self.logits(p["img_stats"], dense(p["img_out"], deter))
        stoch = jax.nn.one_hot(jnp.argmax(logit, -1), logit.shape[-1], dtype=logit.dtype)
        return {"deter": deter, "stoch": stoch}

    def obs_step(self, p: Params, carry: Params, x: Params) -> tuple[Params, Params]:
        """Prior and posterior of one step, from the state and action before it."""
        initial = self.initial(p, len(carry["deter"]))
        keep = 1.0 - x["is_first"].astype(self.dtype)
        deter = carry["deter"] * keep[:, None] + initial["deter"] * (1 - keep)[:, None]
        stoch = carry["stoch"] * keep[:, None, None]
        stoch = stoch + initial["stoch"] * (1 - keep)[:, None, None]
        action, state = x["action"] * keep[:, None], {"deter": deter, "stoch": stoch}
        prior = self.prior_step(p, state, action, jnp.zeros_like(x["noise"]))
        return prior, self.posterior(p, prior["deter"], x["embed"], x["noise"])

    def model_loss(
        self, params: Params, state: TrainState, batch: Params, noise: Array
    ) -> tuple[Array, Params]:
        """See `Agent.model_loss`."""
        wm, c = params["world_model"], self.config.agent
        rows, actions = batch["action"].shape[0], batch["action"].astype(self.dtype)
        embed = nets.encode(self.wm, wm["encoder"], batch)
        previous = jnp.concatenate([jnp.zeros_like(actions[:, :1]), actions[:, :-1]], 1)
        is_first = batch["is_first"].at[:, 0].set(True)
        xs = {"action": previous, "is_first": is_first, "embed": embed, "noise": noise}

        def step(carry: Params, x: Params) -> tuple[Params, tuple[Params, Params]]:
            prior, post = self.obs_step(wm["rssm"], carry, x)
            return {k: post[k] for k in carry}, (prior, post)

        start = self.initial(wm["rssm"], rows)
        xs = jax.tree.map(lambda x: x.swapaxes(0, 1), xs)
        _, out = jax.lax.scan(step, start, xs)
        prior, post = jax.tree.map(lambda x: x.swapaxes(0, 1), out)
        feat = nets.features(post)
        inputs = {k: feat if k in c.grad_heads else sg(feat) for k in ("decoder", "reward", "cont")}
        recon = nets.decode(self.wm, wm["decoder"], inputs["decoder"])
        reward = head(wm["reward"], inputs["reward"])
        cont = head(wm["cont"], inputs["cont"])[..., 0]
        losses = {}
        for key in self.wm.images:
            target = batch[key].astype(self.dtype) / 255.0
            losses[key] = jnp.square(recon[key] - target).sum((-3, -2, -1))
        for key, shape in self.wm.vectors.items():
            target = dist.symlog(batch[key].astype(self.dtype))
            distance = jnp.square(recon[key] - target)
            distance = jnp.where(distance < 1e-8, 0.0, distance)
            losses[key] = distance.sum(tuple(range(-len(shape), 0)))
        losses["reward"] = dist.twohot_loss(reward, batch["reward"])
        alive = 1.0 - batch["is_terminal"].astype(self.dtype)
        losses["cont"] = -dist.binary_log_prob(cont, alive)
        kl = dist.categorical_kl
        losses["dyn"] = jnp.maximum(kl(sg(post["logit"]), prior["logit"]), c.free_nats)
        losses["rep"] = jnp.maximum(kl(post["logit"], sg(prior["logit"])), c.free_nats)
        total, metrics = self.balancer.apply(params["balance"], state.balance, losses)
        return total, {
            "losses": losses, "post": post, "prior": prior["logit"], "embed": embed,
            "recon": recon, "reward": dist.twohot_mean(reward), "cont": nn.sigmoid(cont),
            "metrics": metrics,
        }  # fmt: skip

    def act(self, p: Params, feat: Array, noise: Array) -> tuple[Array, Params]:
        """Draws actions; also returns the policy's moments."""
        feat, c = sg(feat), self.config.agent.actor
        if self.discrete:
            logits = dist.unimix(head(p, feat), c.unimix)
            return dist.onehot_draw(logits, noise), {"logits": logits}
        x = nets.mlp(p["mlp"], feat)
        mean = jnp.tanh(linear(p["out"], x))
        std = (c.maxstd - c.minstd) * nn.sigmoid(linear(p["std"], x) + 2.0) + c.minstd
        return mean + std * noise, {"mean": mean, "std": std}

    def actor_loss(
        self, actor: Params, state: TrainState, post: Params, is_terminal: Array, key: Array
    ) -> tuple[Array, Params]:
        """Imagination and actor loss; see `Agent.actor_loss`."""
        c, wm = self.config.agent, state.params["world_model"]
        action_noise, latent_noise = self.imagination_noise(key, len(is_terminal))

        def step(carry: Params, noise: tuple[Array, Array]) -> tuple[Params, Params]:
            action, _ = self.act(actor, nets.features(carry), noise[0])
            after = self.prior_step(wm["rssm"], carry, action, noise[1])
            return after, {**carry, "action": action}

        start = {k: post[k] for k in ("deter", "stoch", "logit")}
        last, states = jax.lax.scan(step, start, (action_noise[:-1], latent_noise))
        last["action"], _ = self.act(actor, nets.features(last), action_noise[-1])
        states = jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), states, last)
        action, feat = states.pop("action"), nets.features(states)
        reward = dist.twohot_mean(head(wm["reward"], feat))[1:]
        cont = (nn.sigmoid(head(wm["cont"], feat)[..., 0]) > 0.5).astype(feat.dtype)
        cont = cont.at[0].set(1.0 - is_terminal.astype(feat.dtype))
        gamma = 1.0 - 1.0 / c.horizon
        weight = sg(jnp.cumprod(gamma * cont, 0) / gamma)
        value = dist.twohot_mean(head(state.params["critic"], feat))
        returns = [value[-1]]
        for t in reversed(range(c.imag_horizon)):
            blend = (1 - c.return_lambda) * value[t + 1] + c.return_lambda * returns[-1]
            returns.append(reward[t] + gamma * cont[t + 1] * blend)
        returns = jnp.stack(returns[:0:-1])
        scale = self.return_scale(state, returns)
        divisor = jnp.maximum(c.retnorm.max, scale.high - scale.low)
        advantage = (returns - scale.low) / divisor - (value[:-1] - scale.low) / divisor
        _, policy = self.act(actor, feat[:-1], action_noise[:-1])
        if self.discrete:
            logp = (policy["logits"] * sg(action[:-1])).sum(-1)
            loss, entropy = -logp * sg(advantage), dist.categorical_entropy(policy["logits"])
        else:
            loss, entropy = -advantage, dist.normal_entropy(policy["std"])
        loss = ((loss - c.actent * entropy) * weight[:-1]).mean()
        traj = Trajectory(feat, action, reward, cont, weight)
        return loss, {
            "traj": traj, "states": states, "returns": sg(returns), "value": value,
            "scale": scale,
        }  # fmt: skip

    def imagination_noise(self, key: Array, rows: int) -> tuple[Array, Array]:
        c, actions = self.config.agent, self.act_space["action"].shape[0]
        shape = (c.imag_horizon, rows, c.rssm.stoch, c.rssm.classes)
        k_action, k_latent = jax.random.split(key)
        if not self.agent.sampling:
            zeros = jnp.zeros((shape[0] + 1, rows, actions), self.dtype)
            return zeros, jnp.zeros(shape, self.dtype)
        draw = jax.random.gumbel if self.discrete else jax.random.normal
        action = draw(k_action, (shape[0] + 1, rows, actions), self.dtype)
        return action, jax.random.gumbel(k_latent, shape, self.dtype)

    def return_scale(self, state: TrainState, returns: Array) -> Any:
        c, old = self.config.agent.retnorm, state.return_scale
        low = jnp.percentile(sg(returns), c.perclo)
        high = jnp.percentile(sg(returns), c.perchi)
        mix = c.decay
        low, high = mix * old.low + (1 - mix) * low, mix * old.high + (1 - mix) * high
        return old._replace(low=low, high=high)

    def critic_loss(
        self, critic: Params, slow: Params, feat: Array, returns: Array, weight: Array
    ) -> Array:
        """See `Behavior.critic_loss`."""
        logits = head(critic, feat)
        target = dist.twohot_mean(head(slow, feat))
        loss = dist.twohot_loss(logits, returns) + dist.twohot_loss(logits, target)
        return (loss * weight).mean()

    def train_step(self, state: TrainState, batch: Params) -> tuple[TrainState, Params, Params]:
        """See `Agent.train_step`."""
        keys = jax.random.split(jax.random.fold_in(state.key, state.updates), 2)
        c, shape, params = self.config.agent, batch["is_first"].shape, dict(state.params)
        shape = (*shape, c.rssm.stoch, c.rssm.classes)
        noise = jnp.zeros(shape, self.dtype)
        if self.agent.sampling:
            noise = jax.random.gumbel(keys[0], shape, self.dtype)
        model = {k: params[k] for k in ("world_model", "balance")}
        grad = jax.value_and_grad(self.model_loss, has_aux=True)
        (model_loss, aux), grads = grad(model, state, batch, noise)
        opt = {}
        model, opt["model"], model_norm = self.apply("model", grads, state, model)
        params.update(model)
        state = state.replace(params=params)

        post = jax.tree.map(lambda x: sg(x).reshape(-1, *x.shape[2:]), aux["post"])
        is_terminal = batch["is_terminal"].reshape(-1)
        grad = jax.value_and_grad(self.actor_loss, has_aux=True)
        (actor_loss, im), grads = grad(params["actor"], state, post, is_terminal, keys[1])
        actor, opt["actor"], actor_norm = self.apply("actor", grads, state, params["actor"])
        feat, weight = sg(im["traj"].feat[:-1]), sg(im["traj"].weight[:-1])
        critic_loss, grads = jax.value_and_grad(self.critic_loss)(
            params["critic"], state.slow_critic, feat, im["returns"], weight
        )
        critic, opt["critic"], critic_norm = self.apply("critic", grads, state, params["critic"])
        mix = jnp.where(state.updates == 0, 1.0, c.slow_critic_fraction).astype(self.dtype)
        slow = jax.tree.map(lambda s, p: mix * p + (1 - mix) * s, state.slow_critic, critic)
        state = state.replace(
            params={**params, "actor": actor, "critic": critic}, slow_critic=slow, opt=opt,
            return_scale=im["scale"], updates=state.updates + 1,
        )  # fmt: skip
        metrics = {
            "loss/model": model_loss, "loss/actor": actor_loss, "loss/critic": critic_loss,
            **{f"loss/{k}": v.mean() for k, v in aux["losses"].items()},
            "grad_norm/model": model_norm, "grad_norm/actor": actor_norm,
            "grad_norm/critic": critic_norm,
        }  # fmt: skip
        return state, {}, metrics

    def apply(
        self, name: str, grads: Params, state: TrainState, params: Params
    ) -> tuple[Params, Any, Array]:
        updates, opt = self.optimizers[name].update(grads, state.opt[name], params)
        return optax.apply_updates(params, updates), opt, optax.tree.norm(grads)

    def policy(
        self, params: Params, carry: Params, obs: Params, key: Array, mode: str
    ) -> tuple[Params, Array]:
        """Actions `[N, A]`, the modes; see `Agent.policy`."""
        c, rows = self.config.agent.rssm, len(carry["deter"])
        wm = params["world_model"]
        x = {
            "action": carry["action"], "is_first": obs["is_first"],
            "embed": nets.encode(self.wm, wm["encoder"], obs),
            "noise": jnp.zeros((rows, c.stoch, c.classes), self.dtype),
        }  # fmt: skip
        _, post = self.obs_step(wm["rssm"], carry, x)
        feat = nets.features(post)
        action, _ = self.act(params["actor"], feat, jnp.zeros_like(carry["action"]))
        return {"deter": post["deter"], "stoch": post["stoch"], "action": action}, action


def check(path: Path) -> list[parity.Row]:
    """Compares the plain version with a golden bundle, as `parity.check` does the agent."""
    build = parity_2023.build_agent
    with mock.patch.object(parity_2023, "build_agent", lambda meta: PlainUpdate(build(meta))):
        return parity.check(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", nargs="+", type=Path)
    results = {path: check(path) for path in parser.parse_args().bundle}
    for path, rows in results.items():
        print(f"{path}: {sum(row.ok for row in rows)} of {len(rows)} within tolerance")
    sys.exit(not all(row.ok for rows in results.values() for row in rows))
