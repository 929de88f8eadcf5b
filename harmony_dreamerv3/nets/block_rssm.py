"""Block-recurrent state-space model of the 2025 base.

The module says what one step computes; `observe` and `imagine` are the loops over it. A state is
`{'deter': [..., D], 'stoch': [..., S, C]}`; logits are raw `[..., S, C]`, before unimix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from harmony_dreamerv3.config.dreamerv3_2025 import BlockRSSMConfig
from harmony_dreamerv3.nets.distributions import onehot_draw, unimix
from harmony_dreamerv3.nets.layers import Array, full
from harmony_dreamerv3.nets.rms_layers import BlockLinear, Linear, RMSNorm

State = dict[str, Array]
Params = dict[str, Any]
Policy = Callable[[State, Any], dict[str, Array]]


class BlockRSSM(nn.Module):
    """One step of the model, and its prior.

    Attributes:
      config: sizes.
      dtype: dtype of the computation.
    """

    config: BlockRSSMConfig
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Names the layers as upstream does."""
        c, dtype = self.config, self.dtype
        layer = lambda units: (Linear(units, dtype=dtype), RMSNorm())  # noqa: E731
        self.dynin0, self.dynin0norm = layer(c.hidden)
        self.dynin1, self.dynin1norm = layer(c.hidden)
        self.dynin2, self.dynin2norm = layer(c.hidden)
        for i in range(c.dyn_layers):
            setattr(self, f"dynhid{i}", BlockLinear(c.deter, c.blocks, dtype))
            setattr(self, f"dynhid{i}norm", RMSNorm())
        self.dyngru = BlockLinear(3 * c.deter, c.blocks, dtype)
        for name, layers in (("obs", c.obs_layers), ("prior", c.img_layers)):
            for i in range(layers):
                linear, norm = layer(c.hidden)
                setattr(self, f"{name}{i}", linear)
                setattr(self, f"{name}{i}norm", norm)
            setattr(self, f"{name}logit", Linear(c.stoch * c.classes, dtype=dtype))

    def __call__(self, state: State, action: Array, tokens: Array) -> tuple[Array, Array]:
        """Touches every layer once, so that `init` knows their sizes."""
        deter = self.deter_step(state, self.action_in(action))
        return self.posterior(deter, tokens), self.prior(deter)

    def action_in(self, action: Array) -> Array:
        """Projects actions `[..., A]`, scaled into [-1, 1] elementwise, to `[..., hidden]`."""
        action = full(action)
        action = action / jax.lax.stop_gradient(jnp.maximum(1.0, jnp.abs(action)))
        return nn.silu(self.dynin2norm(self.dynin2(action.astype(self.dtype))))

    def deter_step(self, state: State, action: Array) -> Array:
        """The next deterministic state `[..., D]` from a state and a projected action."""
        c = self.config
        deter, lead = state["deter"], state["deter"].shape[:-1]
        stoch = state["stoch"].reshape(*lead, c.stoch * c.classes)
        x0 = nn.silu(self.dynin0norm(self.dynin0(deter)))
        x1 = nn.silu(self.dynin1norm(self.dynin1(stoch)))
        x = jnp.concatenate([x0, x1, action], -1)
        # Every block sees its own slice of deter, and all of the inputs' summary.
        shared = jnp.broadcast_to(x[..., None, :], (*lead, c.blocks, x.shape[-1]))
        x = jnp.concatenate([self._grouped(deter), shared], -1).reshape(*lead, -1)
        for i in range(c.dyn_layers):
            x = getattr(self, f"dynhid{i}")(x)
            x = nn.silu(getattr(self, f"dynhid{i}norm")(x))
        gates = jnp.split(self._grouped(self.dyngru(x)), 3, -1)
        reset, cand, update = (gate.reshape(*lead, c.deter) for gate in gates)
        cand = jnp.tanh(nn.sigmoid(reset) * cand)
        update = nn.sigmoid(update - 1.0)
        return update * cand + (1.0 - update) * deter

    def posterior(self, deter: Array, tokens: Array) -> Array:
        """Logits after seeing tokens `[..., E]`."""
        tokens = tokens.astype(self.dtype)
        x = tokens if self.config.absolute else jnp.concatenate([deter, tokens], -1)
        return self._logit("obs", self.config.obs_layers, x)

    def prior(self, deter: Array) -> Array:
        """Logits before seeing anything."""
        return self._logit("prior", self.config.img_layers, deter)

    def _logit(self, name: str, layers: int, x: Array) -> Array:
        for i in range(layers):
            x = nn.silu(getattr(self, f"{name}{i}norm")(getattr(self, f"{name}{i}")(x)))
        logit = full(getattr(self, f"{name}logit")(x))
        return logit.reshape(*logit.shape[:-1], self.config.stoch, self.config.classes)

    def _grouped(self, x: Array) -> Array:
        return x.reshape(*x.shape[:-1], self.config.blocks, -1)


def observe(
    rssm: BlockRSSM,
    params: Params,
    start: State,
    tokens: Array,
    action: Array,
    is_first: Array,
    noise: Array,
) -> tuple[State, Array, Array]:
    """Filters a sequence of observations.

    Args:
      rssm: the module.
      params: its parameters.
      start: states `[B, ...]` before the first step.
      tokens: encoder outputs `[B, T, E]`.
      action: `[B, T, A]`, the action that led to each step.
      is_first: `[B, T]` bool; there state and action are zeroed.
      noise: Gumbel noise `[B, T, S, C]`, zeros for the mode.

    Returns:
      Posteriors `[B, T, ...]`, their logits and the priors', `[B, T, S, C]`.
    """

    def apply(method: str, *args: Any) -> Any:
        return rssm.apply({"params": params}, *args, method=method)

    def step(state: State, x: tuple[Array, ...]) -> tuple[State, tuple[State, Array]]:
        tokens, action, is_first, noise = x
        deter = apply("deter_step", zero_where(is_first, state), action)
        logit = apply("posterior", deter, tokens)
        new = {"deter": deter, "stoch": draw(rssm, logit, noise)}
        return new, (new, logit)

    action_in = apply("action_in", zero_where(is_first, action))
    xs = jax.tree.map(lambda x: x.swapaxes(0, 1), (tokens, action_in, is_first, noise))
    start = {name: start[name].astype(rssm.dtype) for name in ("deter", "stoch")}
    _, out = jax.lax.scan(step, start, xs)
    post, logit = jax.tree.map(lambda x: x.swapaxes(0, 1), out)
    return post, logit, apply("prior", post["deter"])


def imagine(
    rssm: BlockRSSM, params: Params, start: State, policy: Policy, noise: Any
) -> tuple[State, Array, dict[str, Array]]:
    """Rolls the prior forward under a policy.

    Args:
      rssm: the module.
      params: its parameters.
      start: states `[N, ...]`.
      policy: maps a state and its noise to actions by key.
      noise: of the policy and Gumbel noise `[H, N, S, C]`, a pair, both with a leading axis H.

    Returns:
      States 1..H and their logits, `[H, N, ...]`; actions 0..H-1 by key, `[H, N, A]`.
    """

    def apply(method: str, *args: Any) -> Any:
        return rssm.apply({"params": params}, *args, method=method)

    def step(state: State, noise: Any) -> tuple[State, Any]:
        action = policy(state, noise[0])
        deter = apply("deter_step", state, apply("action_in", join(action)))
        logit = apply("prior", deter)
        new = {"deter": deter, "stoch": draw(rssm, logit, noise[1])}
        return new, (new, logit, action)

    _, (states, logit, actions) = jax.lax.scan(step, start, noise)
    return states, logit, actions


def draw(rssm: BlockRSSM, logit: Array, noise: Array) -> Array:
    """One-hot latents `[..., S, C]` with straight-through gradients."""
    return onehot_draw(unimix(logit, rssm.config.unimix), noise).astype(rssm.dtype)


def join(action: Mapping[str, Any]) -> Array:
    """Concatenates actions `[..., A]` in the order of their sorted keys."""
    return jnp.concatenate([full(jnp.asarray(action[key])) for key in sorted(action)], -1)


def zero_where(mask: Array, tree: Any) -> Any:
    """Zeros where the mask, over the leading axes, is true."""

    def zero(x: Array) -> Array:
        lead = mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim))
        return jnp.where(lead, jnp.zeros_like(x), x)

    return jax.tree.map(zero, tree)


def features(state: State) -> Array:
    """The heads' input: deter and flattened stoch, `[..., D + S * C]`."""
    stoch = state["stoch"]
    flat = stoch.reshape(*stoch.shape[:-2], stoch.shape[-2] * stoch.shape[-1])
    return jnp.concatenate([state["deter"], flat], -1)
