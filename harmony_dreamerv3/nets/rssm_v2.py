"""Recurrent state-space model of DreamerV2: categorical or Gaussian latents, zero initial state.

A state is `{'deter': [..., D], 'stoch': [..., S, C], 'logit': [..., S, C]}`, or with Gaussian
latents `{'deter', 'stoch', 'mean', 'std'}`, the last three `[..., S]`. `logit` is not normalised.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.config.dreamerv2 import RSSMConfig
from harmony_dreamerv3.nets import fast
from harmony_dreamerv3.nets.affine import Affine
from harmony_dreamerv3.nets.distributions import (
    categorical_entropy,
    categorical_kl,
    normal_entropy,
    onehot_draw,
)
from harmony_dreamerv3.nets.layers import Array, Norm, full
from harmony_dreamerv3.nets.layers_v2 import fan_in_uniform
from harmony_dreamerv3.nets.rssm import gated

State = dict[str, Array]
Policy = Callable[[Array, Array], Array]


class RSSM(nn.Module):
    """Recurrent state-space model of DreamerV2."""

    config: RSSMConfig  # sizes and kind of the latents
    embed: int  # size E of the encoder's output
    actions: int  # size A of the action vector
    dtype: Any = jnp.float32  # of the computation

    def setup(self) -> None:
        """Names the layers."""
        c, latent, dtype = self.config, math.prod(self.latent), self.dtype
        stats = latent if c.classes else 2 * latent
        self.img_in = Affine(c.hidden, sizes=(latent, self.actions), dtype=dtype)
        init = fan_in_uniform(c.hidden + c.deter)
        drawn: dict[str, Any] = {"kernel_init": init, "bias_init": init}
        drawn = drawn if c.gru_init == "fan_in" else {}
        self.gru = Affine(3 * c.deter, sizes=(c.hidden, c.deter), dtype=dtype, **drawn)
        self.gru_norm = Norm()  # the only normalisation of this agent
        self.img_out = Affine(c.hidden, dtype=dtype)
        self.img_stats = Affine(stats, dtype=dtype)
        self.obs_out = Affine(c.hidden, sizes=(c.deter, self.embed), dtype=dtype)
        self.obs_stats = Affine(stats, dtype=dtype)

    def __call__(self) -> State:
        """One step from the zero state, which touches every layer."""
        carry, ones = self.zeros(1), jnp.ones((1, 1), self.dtype)
        action, noise = jnp.zeros((1, self.actions)), full(carry["stoch"])
        self.imagine_step(carry, action, noise)
        embed = self.project_embed(jnp.zeros((1, self.embed)))
        x = {"embed": embed, "action": action, "keep": ones, "noise": noise}
        return self.observe_step(carry, x)[1]

    def project_action(self, action: Array) -> Array | fast.Projected:
        """The share of actions `[..., A]` in `img_in`."""
        return self.img_in(action, ahead=1)

    def project_embed(self, embed: Array) -> Array | fast.Projected:
        """The share of embeddings `[..., E]` in `obs_out`."""
        return self.obs_out(embed, ahead=1)

    @property
    def latent(self) -> tuple[int, ...]:
        """Shape of the stochastic state."""
        c = self.config
        return (c.stoch, c.classes) if c.classes else (c.stoch,)

    def zeros(self, rows: int) -> State:
        """The initial state: zeros, the stochastic part too, which is no one-hot then."""
        return {
            "deter": jnp.zeros((rows, self.config.deter), self.dtype),
            "stoch": jnp.zeros((rows, *self.latent), self.dtype),
        }

    def observe_step(self, carry: State, x: dict[str, Any]) -> tuple[State, State]:
        """Next deterministic state and the posterior drawn from it.

        Args:
          carry: `{deter, stoch}` `[..., ...]` of the step before.
          x: `embed` `[..., E]`, `action` `[..., A]` that led here, zeros after a restart, or what
            `project_embed` and `project_action` gave; `keep` `[..., 1]`, where 0 restarts from
            zeros; `noise` of the latents.

        Returns:
          The next carry and the posterior.
        """
        keep = x["keep"]
        stoch = carry["stoch"] * keep.reshape(*keep.shape, *(1,) * (len(self.latent) - 1))
        deter = self._recur(carry["deter"] * keep, stoch, x["action"])
        post = self._draw(
            deter, self.obs_stats(nn.elu(self.obs_out(deter, x["embed"]))), x["noise"]
        )
        return {"deter": deter, "stoch": post["stoch"]}, post

    def imagine_step(self, state: State, action: Array, noise: Array) -> State:
        """The prior's state after `action` `[N, A]`."""
        return self.prior(self._recur(state["deter"], state["stoch"], action), noise)

    def prior(self, deter: Array, noise: Array) -> State:
        """The prior at a deterministic state `[..., D]`."""
        return self._draw(deter, self.img_stats(nn.elu(self.img_out(deter))), noise)

    def _recur(self, deter: Array, stoch: Array, action: Array | fast.Projected) -> Array:
        """A GRU with layer norm over all its gates; its update gate is biased to remember."""
        stoch = stoch.reshape(*stoch.shape[: -len(self.latent)], -1)
        x = nn.elu(self.img_in(stoch, action))
        return gated(deter, *jnp.split(self.gru_norm(self.gru(x, deter)), 3, -1))

    def _draw(self, deter: Array, stats: Array, noise: Array) -> State:
        """Draws latents; statistics are in full precision, draws in that of the computation."""
        stats = full(stats)
        if self.config.classes:
            logit = stats.reshape(*stats.shape[:-1], *self.latent)
            stoch = onehot_draw(logit, noise).astype(self.dtype)
            return {"deter": deter, "stoch": stoch, "logit": logit}
        mean, std = jnp.split(stats, 2, -1)
        std = 2.0 * nn.sigmoid(std / 2.0) + self.config.minstd
        stoch = (mean + std * noise).astype(self.dtype)
        return {"deter": deter, "stoch": stoch, "mean": mean, "std": std}


def observe(
    rssm: RSSM,
    params: Any,
    embed: Array,
    action: Array,
    is_first: Array,
    noise: Array,
    carry: State,
) -> tuple[State, State]:
    """Filters windows of observations.

    Args:
      rssm: the module.
      params: its parameters.
      embed: `[B, T, E]`.
      action: `[B, T, A]`, the action that led to each observation.
      is_first: `[B, T]` bool; there state and action restart from zeros.
      noise: `[B, T, ...]` of the latents, zeros for the mode.
      carry: `{deter, stoch}` `[B, ...]` before the first step.

    Returns:
      Posteriors and priors `[B, T, ...]`; priors are drawn by their mode.
    """
    variables = fast.prepared(rssm, params, rssm.dtype)
    bound = rssm.bind(variables)
    keep = 1.0 - is_first.astype(rssm.dtype)[..., None]
    # Of embeddings and actions only their products enter the loop. A restart forgets the action.
    xs = {
        "embed": bound.project_embed(embed),
        "action": bound.project_action(action.astype(rssm.dtype) * keep),
        "keep": keep,
        "noise": noise,
    }

    def step(variables: Any, carry: State, x: dict[str, Any]) -> tuple[State, State]:
        return rssm.apply(variables, carry, x, method="observe_step")  # type: ignore[return-value]

    swap = lambda tree: jax.tree.map(lambda x: x.swapaxes(0, 1), tree)  # noqa: E731
    _, post = swap(fast.scan(step, variables, carry, swap(xs)))
    # The prior does not recur: it is computed for all steps at once.
    return post, bound.prior(post["deter"], jnp.zeros_like(noise))


def imagine(
    rssm: RSSM, params: Any, start: State, policy: Policy, action_noise: Any, noise: Array
) -> tuple[State, Array]:
    """Rolls the prior forward under a policy.

    Args:
      rssm: the module.
      params: its parameters.
      start: states `[N, ...]`.
      policy: features `[N, F]` and noise of the action to action `[N, A]`.
      action_noise: `[H, N, A]`, or None for modes.
      noise: of the latents `[H, N, ...]`.

    Returns:
      States 0..H `[H + 1, N, ...]`, the first being `start`, and the actions `[H, N, A]` taken in
      states 0..H-1.
    """

    variables = fast.prepared(rssm, params, rssm.dtype)

    def step(state: State, x: tuple[Any, Array]) -> tuple[State, tuple[State, Array]]:
        action = policy(features(state), x[0])
        after: Any = rssm.apply(variables, state, action, x[1], method="imagine_step")
        return after, (state, action)

    last, (states, actions) = jax.lax.scan(step, start, (action_noise, noise))
    return jax.tree.map(lambda xs, x: jnp.concatenate([xs, x[None]]), states, last), actions


def features(state: State) -> Array:
    """The heads' input: flattened stoch and deter, `[..., F]`."""
    stoch, deter = state["stoch"], state["deter"]
    return jnp.concatenate([stoch.reshape(*deter.shape[:-1], -1), deter], -1)


def divergence(p: State, q: State) -> Array:
    """KL(p || q) of two states, summed over the latents: `[...]` in nats."""
    if "logit" in p:
        return categorical_kl(*(jax.nn.log_softmax(x["logit"], -1) for x in (p, q)))
    var, other = jnp.square(p["std"]), jnp.square(q["std"])
    shift = jnp.square(p["mean"] - q["mean"])
    return (jnp.log(q["std"] / p["std"]) + (var + shift) / (2.0 * other) - 0.5).sum(-1)


def entropy(state: State) -> Array:
    """Entropy of a state, summed over the latents: `[...]` in nats."""
    if "logit" in state:
        return categorical_entropy(jax.nn.log_softmax(state["logit"], -1)).sum(-1)
    return normal_entropy(state["std"])
