"""Recurrent state-space model with discrete latents (DreamerV3).

The module declares the parameters; the recurrences are pure functions of them, so that
whatever does not recur (embedding and action projections, prior head, random draws)
stays outside the loops. A state is `{'deter': [..., D], 'stoch': [..., S, C],
'logit': [..., S, C]}`; `logit` holds normalised log-probabilities after unimix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets.distributions import onehot_draw, unimix
from harmony_dreamerv3.nets.layers import Array, full, layer_norm, normal_avg, uniform_avg

State = dict[str, Array]
Weights = dict[str, Any]
Policy = Callable[[State, Array], Array]


class DenseWeights(nn.Module):
    """Parameters of a linear map followed by a layer norm, not applied."""

    shape: tuple[int, int]

    @nn.compact
    def __call__(self) -> Weights:
        """Returns `{kernel: [I, O], norm: {scale: [O], bias: [O]}}`."""
        return {
            "kernel": self.param("kernel", normal_avg(), self.shape, jnp.float32),
            "norm": NormWeights(self.shape[-1], name="norm")(),
        }


class NormWeights(nn.Module):
    """Scale and bias of a layer norm, not applied."""

    units: int

    @nn.compact
    def __call__(self) -> Weights:
        """Returns `{scale: [O], bias: [O]}`."""
        return {
            "scale": self.param("scale", nn.initializers.ones, (self.units,), jnp.float32),
            "bias": self.param("bias", nn.initializers.zeros, (self.units,), jnp.float32),
        }


class LogitWeights(nn.Module):
    """Parameters of an affine map to the latent's logits, not applied."""

    shape: tuple[int, int]

    @nn.compact
    def __call__(self) -> Weights:
        """Returns `{kernel: [I, O], bias: [O]}`."""
        return {
            "kernel": self.param("kernel", uniform_avg(), self.shape, jnp.float32),
            "bias": self.param("bias", nn.initializers.zeros, self.shape[-1:], jnp.float32),
        }


class RSSM(nn.Module):
    """Recurrent state-space model.

    Attributes:
      deter: size D of the deterministic state.
      units: width of the hidden layers.
      stoch: number S of categorical latents.
      classes: classes C of each.
      embed: size of the encoder's output.
      action: size A of the action vector.
      unimix: share of the uniform distribution in every categorical.
      dtype: dtype of the computation.
    """

    deter: int
    units: int
    stoch: int
    classes: int
    embed: int
    action: int
    unimix: float = 0.01
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Declares the parameters."""
        latent = self.stoch * self.classes
        self.initial_deter = self.param("initial", nn.initializers.zeros, (self.deter,))
        self.img_in = DenseWeights((latent + self.action, self.units))
        self.gru = DenseWeights((self.deter + self.units, 3 * self.deter))
        self.img_out = DenseWeights((self.deter, self.units))
        self.img_stats = LogitWeights((self.units, latent))
        self.obs_out = DenseWeights((self.deter + self.embed, self.units))
        self.obs_stats = LogitWeights((self.units, latent))

    def __call__(self) -> Weights:
        """Returns all weights, the kernels in the dtype of the computation."""
        parts = {
            name: getattr(self, name)()
            for name in ("img_in", "gru", "img_out", "img_stats", "obs_out", "obs_stats")
        }
        for part in parts.values():
            part["kernel"] = part["kernel"].astype(self.dtype)
        return {"initial": self.initial_deter, **parts}

    def initial(self, batch: int) -> State:
        """Returns the learned initial state for `batch` rows."""
        return self._initial(self(), batch)

    def _initial(self, w: Weights, batch: int) -> State:
        deter = jnp.tanh(full(w["initial"])).astype(self.dtype)
        deter = jnp.broadcast_to(deter, (batch, self.deter))
        logit = self._prior_logit(w, deter)
        # A plain one-hot: no gradient passes through the initial mode.
        mode = jax.nn.one_hot(jnp.argmax(logit, -1), self.classes, dtype=self.dtype)
        return {"deter": deter, "stoch": mode, "logit": logit}

    def observe(
        self,
        embed: Array,
        prev_action: Array,
        is_first: Array,
        noise: Array,
        carry: State | None = None,
    ) -> tuple[State, Array]:
        """Filters a sequence of observations.

        Args:
          embed: encoder outputs `[B, T, E]`.
          prev_action: actions `[B, T, A]` that lead into each step.
          is_first: `[B, T]` bool; there the state restarts from the initial one.
          noise: Gumbel noise `[B, T, S, C]`, zeros for the mode.
          carry: state before the first step, rows B; None restarts every row.

        Returns:
          Posterior states `[B, T, ...]` and prior logits `[B, T, S, C]`.
        """
        w = self()
        if carry is None:
            is_first = is_first.at[:, 0].set(True)
        initial = self._initial(w, 1)
        carry = initial if carry is None else carry
        start = tuple(
            jnp.broadcast_to(carry[key], (len(embed), *carry[key].shape[1:]))
            for key in ("deter", "stoch")
        )
        reset = is_first.astype(self.dtype)[..., None]
        action = self._action_in(w, prev_action * (1.0 - reset.astype(prev_action.dtype)))
        embed = embed.astype(self.dtype) @ w["obs_out"]["kernel"][self.deter :]

        def step(state: tuple[Array, Array], x: tuple[Array, ...]) -> tuple[Any, Any]:
            action_t, embed_t, reset_t, noise_t = x
            deter = state[0] * (1 - reset_t) + initial["deter"] * reset_t
            stoch = state[1] * (1 - reset_t[..., None])
            stoch = stoch + initial["stoch"] * reset_t[..., None]
            deter = self._deter_step(w, deter, stoch, action_t)
            logit = self._posterior_logit(w, deter, embed_t)
            stoch = onehot_draw(logit, noise_t).astype(self.dtype)
            return (deter, stoch), (deter, stoch, logit)

        xs = jax.tree.map(lambda x: x.swapaxes(0, 1), (action, embed, reset, noise))
        _, (deter, stoch, logit) = jax.lax.scan(step, start, xs)
        post = {"deter": deter, "stoch": stoch, "logit": logit}
        post = jax.tree.map(lambda x: x.swapaxes(0, 1), post)
        return post, self._prior_logit(w, post["deter"])

    def imagine(
        self, start: State, policy: Policy, action_noise: Array, noise: Array
    ) -> tuple[State, Array]:
        """Rolls the prior forward under a policy.

        Args:
          start: states `[N, ...]`.
          policy: maps a state and noise `[N, A]` to actions `[N, A]`.
          action_noise: `[H + 1, N, A]`.
          noise: Gumbel noise `[H, N, S, C]`, zeros for the mode.

        Returns:
          States `[H + 1, N, ...]`, the first being `start`, and actions `[H + 1, N, A]`.
        """
        w = self()
        keys = ("deter", "stoch", "logit")

        def step(state: State, x: tuple[Array, Array]) -> tuple[State, Any]:
            action = policy(state, x[0])
            deter = self._deter_step(w, state["deter"], state["stoch"], self._action_in(w, action))
            logit = self._prior_logit(w, deter)
            stoch = onehot_draw(logit, x[1]).astype(self.dtype)
            return {"deter": deter, "stoch": stoch, "logit": logit}, (state, action)

        start = {key: start[key] for key in keys}
        last, (states, actions) = jax.lax.scan(step, start, (action_noise[:-1], noise))
        states = jax.tree.map(lambda xs, x: jnp.concatenate([xs, x[None]]), states, last)
        action = policy(last, action_noise[-1])
        return states, jnp.concatenate([actions, action[None]])

    def _action_in(self, w: Weights, action: Array) -> Array:
        """Projects an action after scaling it into [-1, 1] elementwise."""
        action = full(action)
        action = action / jax.lax.stop_gradient(jnp.maximum(1.0, jnp.abs(action)))
        return action.astype(self.dtype) @ w["img_in"]["kernel"][self.stoch * self.classes :]

    def _deter_step(self, w: Weights, deter: Array, stoch: Array, action: Array) -> Array:
        """One step of the recurrence from the previous state and a projected action."""
        latent = self.stoch * self.classes
        x = stoch.reshape(*stoch.shape[:-2], latent) @ w["img_in"]["kernel"][:latent] + action
        x = nn.silu(layer_norm(x, **w["img_in"]["norm"]))
        kernel = w["gru"]["kernel"]
        gates = deter @ kernel[: self.deter] + x @ kernel[self.deter :]
        reset, cand, update = jnp.split(layer_norm(gates, **w["gru"]["norm"]), 3, -1)
        cand = jnp.tanh(nn.sigmoid(reset) * cand)
        update = nn.sigmoid(update - 1.0)
        return update * cand + (1.0 - update) * deter

    def _prior_logit(self, w: Weights, deter: Array) -> Array:
        """Prior log-probabilities `[..., S, C]` at a deterministic state."""
        x = nn.silu(layer_norm(deter @ w["img_out"]["kernel"], **w["img_out"]["norm"]))
        return self._logit(w["img_stats"], x)

    def _posterior_logit(self, w: Weights, deter: Array, embed: Array) -> Array:
        """Posterior log-probabilities `[..., S, C]` given the projected embedding."""
        x = deter @ w["obs_out"]["kernel"][: self.deter] + embed
        return self._logit(w["obs_stats"], nn.silu(layer_norm(x, **w["obs_out"]["norm"])))

    def _logit(self, w: Weights, x: Array) -> Array:
        logit = full(x @ w["kernel"]) + w["bias"]
        return unimix(logit.reshape(*x.shape[:-1], self.stoch, self.classes), self.unimix)


def features(state: State) -> Array:
    """The heads' input: deter and flattened stoch, `[..., D + S * C]`."""
    stoch = state["stoch"]
    flat = stoch.reshape(*stoch.shape[:-2], stoch.shape[-2] * stoch.shape[-1])
    return jnp.concatenate([state["deter"], flat], -1)
