"""What surrounds the algorithm of DreamerV2: train state, optimizers, acting."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from embodied.core.env import MASK
from harmony_dreamerv3 import loss_tasks, prng
from harmony_dreamerv3.agents import base, openloop_v2, optim_v2
from harmony_dreamerv3.agents.base import Batch, Params
from harmony_dreamerv3.agents.dreamerv2_data import Data
from harmony_dreamerv3.balance import Balancer
from harmony_dreamerv3.nets.layers import full
from harmony_dreamerv3.nets.policies import obey
from harmony_dreamerv3.nets.rssm_v2 import State, features, observe

Array = jax.Array


class TrainState(base.TrainState):
    """Everything that an update reads and writes.

    `params` are {'world_model', 'balance', 'actor', 'critic'}, `opt` {'model', 'actor', 'critic'}.
    """

    slow_critic: Params
    stats: Params  # moving statistics of batch norms: {'encoder', 'decoder'}, or empty
    target: Params  # DreamerPro's moving copies {'encoder', 'obs_proj'}, or empty


@dataclasses.dataclass(frozen=True)
class Losses(loss_tasks.Losses):
    """The losses, with a KL balance that stands whatever the KL weighs."""

    kl_balance: float = 0.8

    @property
    def alpha(self) -> float:
        """KL balance α of HarmonyDream Eq. 15."""
        return self.kl_balance


class Frame(Data):
    """The part of the agent that computes no loss; see `Data`."""

    def __post_init__(self) -> None:
        """Raises UserError for wrong settings here, not while tracing."""
        _ = self.net, self.balancer

    @functools.cached_property
    def optimizers(self) -> dict[str, optax.GradientTransformationExtraArgs]:
        """Adam for the model (with the balancer's scalars), the actor and the critic."""
        c = self.c
        # DreamerPro's decay shrinks parameters by themselves; it has no scalars to shrink.
        model = optim_v2.make(c.model_opt, plain=("balance",))
        return {
            "model": loss_tasks.with_balance(model, self.config.balance),
            "actor": optim_v2.make(c.actor_opt),
            "critic": optim_v2.make(c.critic_opt),
        }

    @functools.cached_property
    def losses(self) -> Losses:
        """What a balancer needs to know of the losses.

        Scales of `reward` and `kl` are no error beside a balancer, which does not apply them: the
        blocks `dreamerpro_natural` and `rlbench` set them for the baseline.
        """
        c, scales = self.c, dataclasses.asdict(self.c.loss_scales)
        dyn = {"dyn": c.kl_balance * scales["kl"], "rep": (1.0 - c.kl_balance) * scales["kl"]}
        slot = ("swav", "temp", "norm") if self.net.prototypes else ()
        discount = ("discount",) if c.predict_discount else ()
        kept = {name: scales[name] for name in ("image", "vector", *slot, "reward", *discount)}
        own = {f"loss_scales.{name}": scales[name] for name in ("image", "vector", "swav", "temp")}
        told = loss_tasks.describe(self.net.images, self.net.vectors, kept | dyn)
        return Losses(told.scales, told.groups, told.dims, own, kl_balance=c.kl_balance)

    @functools.cached_property
    def balancer(self) -> Balancer:
        """The loss balancer."""
        return loss_tasks.make_balancer(self.config.balance, self.losses)

    def init(self, key: Array) -> TrainState:
        """Draws a fresh state; all draws of the run derive from `key`, `[2]` uint32."""
        keys = prng.for_init(key, 5)
        net, feat = self.net, jnp.zeros((1, self.c.rssm.features))
        world_model, stats = net.init(keys[0])
        balance_params, balance_state = self.balancer.init()
        params = {
            "world_model": world_model,
            "balance": balance_params,
            "actor": net.actor.init(keys[1], feat)["params"],
            "critic": net.critic.init(keys[2], feat)["params"],
        }
        # What the copies hold before the first update is drawn on its own, as in both codes.
        slow = net.critic.init(keys[3], feat)["params"]
        target = net.copied(net.init(keys[4])[0])
        params, slow, target, stats = jax.tree.map(
            lambda x: x.astype(self.param_dtype), (params, slow, target, stats)
        )
        opt = {name: self.optimizers[name].init(part) for name, part in self.trained(params)}
        return TrainState(
            params=params, opt=opt, balance=balance_state, updates=jnp.zeros((), jnp.int32),
            key=key, alive=jnp.ones((), bool), slow_critic=slow, stats=stats, target=target,
        )  # fmt: skip

    def trained(self, params: Params) -> Iterator[tuple[str, Params]]:
        """What each optimizer trains, by its name."""
        yield "model", {name: params[name] for name in ("world_model", "balance")}
        yield "actor", params["actor"]
        yield "critic", params["critic"]

    # Acting

    def initial_carry(self, rows: int) -> State:
        """The policy's memory before the first observation, for `rows` environments."""
        action = jnp.zeros((rows, self.actions), self.param_dtype)
        return {**self.net.rssm.zeros(rows), "action": action}

    def policy_params(self, state: TrainState) -> Params:
        """What acting needs of a state."""
        model = {name: state.params["world_model"][name] for name in ("encoder", "rssm")}
        stats = {name: state.stats[name] for name in ("encoder",) if name in state.stats}
        return {"world_model": model, "actor": state.params["actor"], "stats": stats}

    def report(self, state: TrainState, batch: Batch, key: Array) -> dict[str, Any]:
        """Heavy metrics of one batch; see `openloop_v2.report`."""
        return openloop_v2.report(self, state, batch, key)

    def filter(self, params: Params, carry: State, obs: Batch, key: Array) -> State:
        """The posterior `[N, ...]` of one observation; latents are drawn in both modes."""
        net, model, obs = self.net, params["world_model"], self.prepare(obs)
        embed = net.apply("encoder", model, params["stats"], obs)
        noise = self.latent_noise(key, (len(embed),))
        latent = {name: carry[name] for name in ("deter", "stoch")}
        post, _ = observe(
            net.rssm, model["rssm"], embed[:, None], carry["action"][:, None],
            obs["is_first"][:, None], noise[:, None], latent,
        )  # fmt: skip
        return jax.tree.map(lambda x: x[:, 0], post)

    def policy(
        self, params: Params, carry: State, obs: Batch, key: Array, mode: str
    ) -> tuple[State, Array]:
        """Actions `[N, A]`: drawn for training, modes for evaluation; see `base.Agent.policy`."""
        k_latent, k_action = jax.random.split(key)
        post, rows = self.filter(params, carry, obs, k_latent), len(carry["action"])
        dist = obey(self.net.policy(params["actor"], features(post)), obs.get(MASK))
        if mode == "train":
            action = act(dist, self.action_noise(k_action, (rows,)))
        elif self.net.estimated:  # a squashed normal has no mode in closed form
            action = full(dist.densest(self.entropy_noise(k_action, (rows,))))
        else:
            action = act(dist, None)
        return {"deter": post["deter"], "stoch": post["stoch"], "action": action}, action


def act(policy: Any, noise: Array | None) -> Array:
    """Actions of a policy, in full precision: the mode without noise."""
    return full(policy.mode() if noise is None else policy.sample(noise))
