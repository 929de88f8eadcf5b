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

from harmony_dreamerv3.nets import deferred
from harmony_dreamerv3.nets.deferred import Layers
from harmony_dreamerv3.nets.distributions import onehot_draw, unimix
from harmony_dreamerv3.nets.layers import AffineWeights, Array, DenseWeights, Weights, full

State = dict[str, Array]
Policy = Callable[[Layers, State, Array], tuple[Array, Any]]

# Layers of the loop over observations, and of imagination.
RECURRENT = ("img_in", "img_in_norm", "gru_deter", "gru_x", "gru_norm")
OBSERVED = (*RECURRENT, "obs_out", "obs_out_norm", "obs_stats")
IMAGINED = (*RECURRENT, "img_in_action", "img_out", "img_out_norm", "img_stats")


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
        self.img_stats = AffineWeights((self.units, latent))
        self.obs_out = DenseWeights((self.deter + self.embed, self.units))
        self.obs_stats = AffineWeights((self.units, latent))

    def __call__(self) -> Weights:
        """Returns all weights by layer; a kernel of concatenated inputs comes in pieces."""
        latent = self.stoch * self.classes
        img_in, gru, obs_out = self.img_in(), self.gru(), self.obs_out()
        img_out = self.img_out()
        return {
            "img_in": {"kernel": img_in["kernel"][:latent]},
            "img_in_action": {"kernel": img_in["kernel"][latent:]},
            "img_in_norm": img_in["norm"],
            "gru_deter": {"kernel": gru["kernel"][: self.deter]},
            "gru_x": {"kernel": gru["kernel"][self.deter :]},
            "gru_norm": gru["norm"],
            "img_out": {"kernel": img_out["kernel"]},
            "img_out_norm": img_out["norm"],
            "img_stats": self.img_stats(),
            "obs_out": {"kernel": obs_out["kernel"][: self.deter]},
            "obs_out_embed": {"kernel": obs_out["kernel"][self.deter :]},
            "obs_out_norm": obs_out["norm"],
            "obs_stats": self.obs_stats(),
        }

    def initial(self, batch: int) -> State:
        """Returns the learned initial state for `batch` rows."""
        return self._initial(self._layers(), batch)

    def _layers(self) -> Layers:
        return Layers(self(), self.dtype)

    def _initial(self, layers: Layers, batch: int) -> State:
        deter = jnp.tanh(full(self.initial_deter)).astype(self.dtype)
        deter = jnp.broadcast_to(deter, (batch, self.deter))
        logit = self._prior_logit(layers, deter)
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
        weights = self()
        outside = Layers(weights, self.dtype)
        if carry is None:
            is_first = is_first.at[:, 0].set(True)
        initial = self._initial(outside, 1)
        carry = initial if carry is None else carry
        start = tuple(
            jnp.broadcast_to(carry[key], (len(embed), *carry[key].shape[1:]))
            for key in ("deter", "stoch")
        )
        reset = is_first.astype(self.dtype)[..., None]
        xs = {
            "keep": 1.0 - reset,
            "deter": reset * initial["deter"],
            "stoch": reset[..., None] * initial["stoch"],
            "action": self._action_in(
                outside, prev_action * (1.0 - reset.astype(prev_action.dtype))
            ),
            "embed": outside.linear("obs_out_embed", embed.astype(self.dtype)),
            "noise": noise,
        }
        xs = jax.tree.map(lambda x: x.swapaxes(0, 1), xs)
        inside = {name: weights[name] for name in OBSERVED}
        _, post = deferred.scan(self._observe_step, inside, start, xs, self.dtype)
        post = jax.tree.map(lambda x: x.swapaxes(0, 1), post)
        return post, self._prior_logit(Layers(weights, self.dtype), post["deter"])

    def _observe_step(
        self, layers: Layers, carry: tuple[Array, Array], x: dict[str, Array]
    ) -> tuple[tuple[Array, Array], State]:
        """What recurs: the next deterministic state and the posterior drawn from it."""
        deter = carry[0] * x["keep"] + x["deter"]
        stoch = carry[1] * x["keep"][..., None] + x["stoch"]
        deter = self._deter_step(layers, deter, stoch, x["action"])
        hidden = nn.silu(layers.norm("obs_out_norm", layers.linear("obs_out", deter) + x["embed"]))
        logit = self._unimix(layers.linear("obs_stats", hidden))
        stoch = onehot_draw(logit, x["noise"]).astype(self.dtype)
        return (deter, stoch), {"deter": deter, "stoch": stoch, "logit": logit}

    def imagine(
        self, start: State, policy: Policy, weights: Weights, action_noise: Array, noise: Array
    ) -> tuple[State, Array, Any]:
        """Rolls the prior forward under a policy.

        Args:
          start: states `[N, ...]`.
          policy: maps its layers, a state and noise `[N, A]` to actions `[N, A]` and whatever of
            its computation is of use later; closes over no array.
          weights: of the policy's layers.
          action_noise: `[H + 1, N, A]`.
          noise: Gumbel noise `[H, N, S, C]`, zeros for the mode.

        Returns:
          States `[H + 1, N, ...]`, the first being `start`, actions `[H + 1, N, A]`, and what the
          policy kept of states 0..H-1, `[H, N, ...]`.
        """
        own = self()
        inside = {**{name: own[name] for name in IMAGINED}, **weights}

        def step(layers: Layers, state: State, x: tuple[Array, Array]) -> tuple[State, Any]:
            action, kept = policy(layers, state, x[0])
            action_in = self._action_in(layers, action)
            deter = self._deter_step(layers, state["deter"], state["stoch"], action_in)
            logit = self._prior_logit(layers, deter)
            stoch = onehot_draw(logit, x[1]).astype(self.dtype)
            return {"deter": deter, "stoch": stoch, "logit": logit}, (state, action, kept)

        start = {key: start[key] for key in ("deter", "stoch", "logit")}
        last, (states, actions, kept) = deferred.scan(
            step, inside, start, (action_noise[:-1], noise), self.dtype
        )
        states = jax.tree.map(lambda xs, x: jnp.concatenate([xs, x[None]]), states, last)
        action, _ = policy(Layers(weights, self.dtype), last, action_noise[-1])
        return states, jnp.concatenate([actions, action[None]]), kept

    def _action_in(self, layers: Layers, action: Array) -> Array:
        """Projects an action after scaling it into [-1, 1] elementwise."""
        action = full(action)
        action = action / jax.lax.stop_gradient(jnp.maximum(1.0, jnp.abs(action)))
        return layers.linear("img_in_action", action.astype(self.dtype))

    def _deter_step(self, layers: Layers, deter: Array, stoch: Array, action: Array) -> Array:
        """One step of the recurrence from the previous state and a projected action."""
        x = stoch.reshape(*stoch.shape[:-2], self.stoch * self.classes)
        x = nn.silu(layers.norm("img_in_norm", layers.linear("img_in", x) + action))
        gates = layers.linear("gru_deter", deter) + layers.linear("gru_x", x)
        reset, cand, update = jnp.split(layers.norm("gru_norm", gates), 3, -1)
        cand = jnp.tanh(nn.sigmoid(reset) * cand)
        update = nn.sigmoid(update - 1.0)
        return update * cand + (1.0 - update) * deter

    def _prior_logit(self, layers: Layers, deter: Array) -> Array:
        """Prior log-probabilities `[..., S, C]` at a deterministic state."""
        x = nn.silu(layers.norm("img_out_norm", layers.linear("img_out", deter)))
        return self._unimix(layers.linear("img_stats", x))

    def _unimix(self, logit: Array) -> Array:
        return unimix(logit.reshape(*logit.shape[:-1], self.stoch, self.classes), self.unimix)


def features(state: State) -> Array:
    """The heads' input: deter and flattened stoch, `[..., D + S * C]`."""
    stoch = state["stoch"]
    flat = stoch.reshape(*stoch.shape[:-2], stoch.shape[-2] * stoch.shape[-1])
    return jnp.concatenate([state["deter"], flat], -1)
