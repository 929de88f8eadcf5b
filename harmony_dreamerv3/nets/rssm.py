"""Recurrent state-space model with discrete latents (DreamerV3).

A state is `{'deter': [..., D], 'stoch': [..., S, C], 'logit': [..., S, C]}`; `logit` holds
normalised log-probabilities after unimix. `RSSM` computes single steps; `observe` and `imagine`
repeat them, with everything that does not recur outside of their loops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.config.dreamerv3 import RSSMConfig
from harmony_dreamerv3.nets import fast
from harmony_dreamerv3.nets.distributions import onehot_draw, unimix
from harmony_dreamerv3.nets.layers import Array, Dense, Linear, full

State = dict[str, Array]
Params = dict[str, Any]
Policy = Callable[[State, Array], Array]


class RSSM(nn.Module):
    """One step of the recurrent state-space model."""

    config: RSSMConfig
    embed: int  # E, of the encoder's output
    actions: int  # A, of the action vector
    dtype: Any = jnp.float32  # of the computation

    def setup(self) -> None:
        """Declares the parameters."""
        c, dtype = self.config, self.dtype
        latent = c.stoch * c.classes
        self.initial_deter = self.param("initial", nn.initializers.zeros, (c.deter,))
        self.img_in = Dense((latent, self.actions), c.units, dtype=dtype)
        self.gru = Dense((c.deter, c.units), 3 * c.deter, silu=False, dtype=dtype)
        self.img_out = Dense((c.deter,), c.units, dtype=dtype)
        self.img_stats = Linear(latent, dtype=dtype)
        self.obs_out = Dense((c.deter, self.embed), c.units, dtype=dtype)
        self.obs_stats = Linear(latent, dtype=dtype)

    def __call__(self) -> Any:
        """Passes zeros through all layers, to draw the parameters."""
        state = self.initial()
        deter = self.recur(state, jnp.zeros((1, self.actions)))
        return self.prior(deter), self.posterior(deter, jnp.zeros((1, self.embed)))

    def initial(self) -> State:
        """The learned state before an episode, `[1, ...]`."""
        deter = jnp.tanh(full(self.initial_deter)).astype(self.dtype)[None]
        logit = self.prior(deter)
        # A plain one-hot: no gradient passes through the initial mode.
        mode = jax.nn.one_hot(jnp.argmax(logit, -1), self.config.classes, dtype=self.dtype)
        return {"deter": deter, "stoch": mode, "logit": logit}

    def recur(self, state: State, action: Array | fast.Projected) -> Array:
        """The next deterministic state `[..., D]`, from a state and the action taken there.

        The action is `[..., A]`, or its share of `img_in`, computed ahead.
        """
        deter, stoch = state["deter"], state["stoch"]
        action = bounded(action) if isinstance(action, Array) else action
        x = self.img_in(stoch.reshape(*stoch.shape[:-2], -1), action)
        # A GRU whose three gates come from one product under one layer norm.
        return gated(deter, *jnp.split(self.gru(deter, x), 3, -1))

    def prior(self, deter: Array) -> Array:
        """Log-probabilities `[..., S, C]` of stoch at a deterministic state `[..., D]`."""
        return self._logit(self.img_stats(self.img_out(deter)))

    def posterior(self, deter: Array, embed: Array | fast.Projected) -> Array:
        """Log-probabilities `[..., S, C]` of stoch that also know the observation."""
        return self._logit(self.obs_stats(self.obs_out(deter, embed)))

    def observe_step(self, initial: State, state: State, x: dict[str, Any]) -> tuple[State, Array]:
        """The next posterior; where `is_first` is set, from the initial state without action."""
        first = x["is_first"][..., None]
        deter = jnp.where(first, initial["deter"], state["deter"])
        stoch = jnp.where(first[..., None], initial["stoch"], state["stoch"])
        deter = self.recur({"deter": deter, "stoch": stoch}, x["action"])
        logit = self.posterior(deter, x["embed"])
        return {"deter": deter, "stoch": self._draw(logit, x["noise"])}, logit

    def imagine_step(self, state: State, action: Array, noise: Array) -> State:
        """The next state, its latent drawn from the prior."""
        deter = self.recur(state, action)
        logit = self.prior(deter)
        return {"deter": deter, "stoch": self._draw(logit, noise), "logit": logit}

    def _draw(self, logit: Array, noise: Array) -> Array:
        return onehot_draw(logit, noise, jnp.exp).astype(self.dtype)

    def _logit(self, logit: Array) -> Array:
        c = self.config
        return unimix(logit.reshape(*logit.shape[:-1], c.stoch, c.classes), c.unimix)


def observe(
    rssm: RSSM,
    params: Params,
    embed: Array,
    prev_action: Array,
    is_first: Array,
    noise: Array,
    carry: State | None = None,
) -> tuple[State, Array]:
    """Filters a sequence of observations.

    Args:
      rssm, params: the module and its parameters.
      embed: encoder outputs `[B, T, E]`.
      prev_action: actions `[B, T, A]` that lead into each step.
      is_first: `[B, T]` bool; there the state restarts from the initial one.
      noise: Gumbel noise `[B, T, S, C]`, zeros for the mode.
      carry: state before the first step, rows B; None restarts every row.

    Returns:
      Posterior states `[B, T, ...]` and prior logits `[B, T, S, C]`.
    """
    chex.assert_equal_shape_prefix([embed, prev_action, is_first, noise], 2)
    chex.assert_type(is_first, bool)
    variables = fast.prepared(rssm, params, rssm.dtype)
    bound = rssm.bind(variables)
    initial = bound.initial()
    if carry is None:
        is_first = is_first.at[:, 0].set(True)
        carry = initial
    start = {
        key: jnp.broadcast_to(carry[key], (len(embed), *carry[key].shape[1:]))
        for key in ("deter", "stoch")
    }
    prev_action = jnp.where(is_first[..., None], 0.0, prev_action)
    # Of the embedding and of the action only their products enter the loop.
    xs = {
        "is_first": is_first,
        "action": bound.img_in.project(1, bounded(prev_action)),
        "embed": bound.obs_out.project(1, embed),
        "noise": noise,
    }

    def step(weights: Any, state: State, x: Any) -> tuple[State, Array]:
        variables, initial = weights
        return rssm.apply(variables, initial, state, x, method="observe_step")  # type: ignore[return-value]

    swap = lambda tree: jax.tree.map(lambda x: x.swapaxes(0, 1), tree)  # noqa: E731
    states, logit = swap(fast.scan(step, (variables, initial), start, swap(xs)))
    # Nothing recurs through the prior, so it is computed for all steps at once.
    return {**states, "logit": logit}, bound.prior(states["deter"])


def imagine(
    rssm: RSSM, params: Params, start: State, policy: Policy, action_noise: Array, noise: Array
) -> tuple[State, Array]:
    """Rolls the prior forward under a policy.

    Args:
      rssm, params: the module and its parameters.
      start: states `[N, ...]`.
      policy: maps a state and noise `[N, A]` to actions `[N, A]`.
      action_noise: `[H + 1, N, A]`.
      noise: Gumbel noise `[H, N, S, C]`, zeros for the mode.

    Returns:
      States `[H + 1, N, ...]`, `start` first, and the actions `[H + 1, N, A]` taken in them.
    """
    chex.assert_equal_shape_prefix([action_noise[1:], noise], 2)
    variables = fast.prepared(rssm, params, rssm.dtype)

    def step(state: State, x: tuple[Array, Array]) -> tuple[State, tuple[State, Array]]:
        action = policy(state, x[0])
        after: Any = rssm.apply(variables, state, action, x[1], method="imagine_step")
        return after, (state, action)

    start = {key: start[key] for key in ("deter", "stoch", "logit")}
    last, (states, action) = jax.lax.scan(step, start, (action_noise[:-1], noise))
    states = jax.tree.map(lambda xs, x: jnp.concatenate([xs, x[None]]), states, last)
    return states, jnp.concatenate([action, policy(last, action_noise[-1])[None]])


def gated(deter: Array, reset: Array, cand: Array, update: Array) -> Array:
    """The next deterministic state `[..., D]` of a GRU, from the last one and its three gates."""
    cand = jnp.tanh(nn.sigmoid(reset) * cand)
    update = nn.sigmoid(update - 1.0)  # It starts out remembering.
    return update * cand + (1.0 - update) * deter


def bounded(action: Array) -> Array:
    """An action `[..., A]` scaled into [-1, 1] elementwise."""
    action = full(action)
    return action / jax.lax.stop_gradient(jnp.maximum(1.0, jnp.abs(action)))


def features(state: State) -> Array:
    """The heads' input: deter and flattened stoch, `[..., D + S * C]`."""
    stoch = state["stoch"]
    return jnp.concatenate([state["deter"], stoch.reshape(*stoch.shape[:-2], -1)], -1)
