"""Recurrent state-space model of DreamerV2: categorical or Gaussian latents, zero initial state.

A state is `{'deter': [..., D], 'stoch': [..., S, C], 'logit': [..., S, C]}`, or with Gaussian
latents `{'deter', 'stoch', 'mean', 'std'}`, the last three `[..., S]`. `logit` is not normalised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets.distributions import (
    categorical_entropy,
    categorical_kl,
    normal_entropy,
    onehot_draw,
)
from harmony_dreamerv3.nets.layers import Array, Norm, full, run
from harmony_dreamerv3.nets.layers_v2 import Affine, fan_in_uniform

State = dict[str, Array]
Policy = Callable[[Array, Array], Array]


class RSSM(nn.Module):
    """Recurrent state-space model of DreamerV2.

    Attributes:
      deter: size D of the deterministic state.
      hidden: width of the hidden layers.
      stoch: number S of latents.
      classes: classes C of each, 0 for Gaussian ones.
      minstd: least standard deviation of Gaussian latents.
      gru_init: `fan_in` (torch's default) or `xavier` (zero bias) for the kernel of the GRU.
      dtype: dtype of the computation.
    """

    deter: int
    hidden: int
    stoch: int
    classes: int
    minstd: float = 0.1
    gru_init: str = "fan_in"
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Names the layers."""
        stats = self.stoch * (self.classes or 2)
        self.img_in = Affine(self.hidden, dtype=self.dtype)
        init = fan_in_uniform(self.hidden + self.deter)
        if self.gru_init == "fan_in":
            self.gru = Affine(3 * self.deter, kernel_init=init, bias_init=init, dtype=self.dtype)
        else:
            self.gru = Affine(3 * self.deter, dtype=self.dtype)
        self.gru_norm = Norm()  # the only normalisation of this agent
        self.img_out = Affine(self.hidden, dtype=self.dtype)
        self.img_stats = Affine(stats, dtype=self.dtype)
        self.obs_out = Affine(self.hidden, dtype=self.dtype)
        self.obs_stats = Affine(stats, dtype=self.dtype)

    def __call__(self, embed: Array, action: Array) -> State:
        """One step from the zero state, which touches every layer: for `init`."""
        carry = self.zeros(len(embed))
        self.imagine_step(carry, action, self.zeros(len(embed))["stoch"])
        x = {"embed": embed, "action": action, "keep": jnp.ones((len(embed), 1), self.dtype)}
        return self.observe_step(carry, {**x, "noise": full(carry["stoch"])})[1]

    @property
    def latent(self) -> tuple[int, ...]:
        """Shape of the stochastic state."""
        return (self.stoch, self.classes) if self.classes else (self.stoch,)

    def zeros(self, rows: int) -> State:
        """The initial state: zeros, the stochastic part too, which is no one-hot then."""
        return {
            "deter": jnp.zeros((rows, self.deter), self.dtype),
            "stoch": jnp.zeros((rows, *self.latent), self.dtype),
        }

    def observe_step(self, carry: State, x: dict[str, Array]) -> tuple[State, State]:
        """Next deterministic state and the posterior drawn from it.

        Args:
          carry: `{deter, stoch}` `[B, ...]` of the step before.
          x: `embed` `[B, E]`, `action` `[B, A]` that led here, `keep` `[B, 1]` (0 restarts from
            zeros), `noise` of the latents.

        Returns:
          The next carry and the posterior.
        """
        keep = x["keep"]
        # A restart forgets the previous action, too.
        stoch = carry["stoch"] * keep.reshape(-1, *(1,) * len(self.latent))
        deter = self._recur(carry["deter"] * keep, stoch, x["action"].astype(self.dtype) * keep)
        hidden = nn.elu(self.obs_out(jnp.concatenate([deter, x["embed"]], -1)))
        post = self._draw(deter, self.obs_stats(hidden), x["noise"])
        return {"deter": deter, "stoch": post["stoch"]}, post

    def imagine_step(self, state: State, action: Array, noise: Array) -> State:
        """The prior's state after `action` `[N, A]`."""
        deter = self._recur(state["deter"], state["stoch"], action.astype(self.dtype))
        return self.prior(deter, noise)

    def prior(self, deter: Array, noise: Array) -> State:
        """The prior at a deterministic state `[..., D]`."""
        return self._draw(deter, self.img_stats(nn.elu(self.img_out(deter))), noise)

    def _recur(self, deter: Array, stoch: Array, action: Array) -> Array:
        """A GRU with layer norm over all its gates; its update gate is biased to remember."""
        stoch = stoch.reshape(*stoch.shape[: -len(self.latent)], -1)
        x = nn.elu(self.img_in(jnp.concatenate([stoch, action], -1)))
        gates = self.gru_norm(self.gru(jnp.concatenate([x, deter], -1)))
        reset, cand, update = jnp.split(gates, 3, -1)
        cand = jnp.tanh(nn.sigmoid(reset) * cand)
        update = nn.sigmoid(update - 1.0)
        return update * cand + (1.0 - update) * deter

    def _draw(self, deter: Array, stats: Array, noise: Array) -> State:
        """Draws latents; statistics are in full precision, draws in that of the computation."""
        stats = full(stats)
        if self.classes:
            logit = stats.reshape(*stats.shape[:-1], *self.latent)
            stoch = onehot_draw(logit, noise).astype(self.dtype)
            return {"deter": deter, "stoch": stoch, "logit": logit}
        mean, std = jnp.split(stats, 2, -1)
        std = 2.0 * nn.sigmoid(std / 2.0) + self.minstd
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
    keep = 1.0 - is_first.astype(rssm.dtype)[..., None]
    xs = {"embed": embed, "action": action, "keep": keep, "noise": noise}
    xs = jax.tree.map(lambda x: x.swapaxes(0, 1), xs)

    def step(carry: State, x: dict[str, Array]) -> tuple[State, State]:
        return run(rssm, params, carry, x, method="observe_step")

    _, post = jax.lax.scan(step, carry, xs)
    post = jax.tree.map(lambda x: x.swapaxes(0, 1), post)
    # The prior does not recur: it is computed for all steps at once.
    return post, run(rssm, params, post["deter"], jnp.zeros_like(noise), method="prior")


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

    def step(state: State, x: tuple[Any, Array]) -> tuple[State, tuple[State, Array]]:
        action = policy(features(state), x[0])
        return run(rssm, params, state, action, x[1], method="imagine_step"), (state, action)

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
