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
from harmony_dreamerv3.nets import fast
from harmony_dreamerv3.nets.distributions import onehot_draw, unimix
from harmony_dreamerv3.nets.layers import Array, full
from harmony_dreamerv3.nets.rms_layers import BlockLinear, Linear, RMSNorm
from harmony_dreamerv3.nets.rssm import bounded, features, gated

__all__ = ["BlockRSSM", "draw", "features", "imagine", "join", "observe", "zero_where"]

State = dict[str, Array]
Params = dict[str, Any]
Policy = Callable[[State, Any], dict[str, Array]]


class BlockRSSM(nn.Module):
    """One step of the model, and its prior."""

    config: BlockRSSMConfig  # sizes
    tokens: int  # size E of the encoder's output
    actions: int  # size A of all actions joined
    dtype: Any = jnp.float32  # of the computation

    def setup(self) -> None:
        """Names the layers as upstream does."""
        c, dtype = self.config, self.dtype

        def add(name: str, layer: nn.Module, norm: bool = True) -> None:
            setattr(self, name, layer)
            if norm:
                setattr(self, f"{name}norm", RMSNorm())

        for i in range(3):
            add(f"dynin{i}", Linear(c.hidden, dtype=dtype))
        # Every block sees its own slice of deter, and all of a summary of what comes in.
        sizes: tuple[int, ...] = (c.deter, c.hidden, c.hidden, c.hidden)
        for i in range(c.dyn_layers):
            add(f"dynhid{i}", BlockLinear(c.deter, c.blocks, sizes, dtype))
            sizes = (c.deter,)
        add("dyngru", BlockLinear(3 * c.deter, c.blocks, sizes, dtype), norm=False)
        sizes = (self.tokens,) if c.absolute else (c.deter, self.tokens)
        for name, layers in (("obs", c.obs_layers), ("prior", c.img_layers)):
            for i in range(layers):
                pieces = sizes if name == "obs" and i == 0 else ()
                add(f"{name}{i}", Linear(c.hidden, sizes=pieces, dtype=dtype))
            add(f"{name}logit", Linear(c.stoch * c.classes, dtype=dtype), norm=False)

    def __call__(self) -> tuple[Array, Array]:
        """Passes zeros through all layers, to draw the parameters."""
        c = self.config
        deter = jnp.zeros((1, c.deter), self.dtype)
        state = {"deter": deter, "stoch": jnp.zeros((1, c.stoch, c.classes), self.dtype)}
        deter = self.deter_step(state, self.project_action(jnp.zeros((1, self.actions))))
        tokens = self.project_tokens(jnp.zeros((1, self.tokens), self.dtype))
        return self.posterior(deter, tokens), self.prior(deter)

    @property
    def _recurrent(self) -> list[str]:
        """Names of the block layers, in order."""
        return [*(f"dynhid{i}" for i in range(self.config.dyn_layers)), "dyngru"]

    def project_action(self, action: Array) -> Array | fast.Projected:
        """The share of actions `[..., A]`, scaled into [-1, 1] elementwise, in the recurrence."""
        x = nn.silu(self.dynin2norm(self.dynin2(bounded(action))))
        return getattr(self, self._recurrent[0])(x, ahead=3)

    def project_tokens(self, tokens: Array) -> Array | fast.Projected:
        """The share of tokens `[..., E]` in the posterior."""
        c = self.config
        return self.obs0(tokens, ahead=1) if c.obs_layers and not c.absolute else tokens

    def deter_step(self, state: State, action: Array | fast.Projected) -> Array:
        """The next deterministic state `[..., D]` from a state and a projected action."""
        deter, stoch = state["deter"], state["stoch"]
        x0 = nn.silu(self.dynin0norm(self.dynin0(deter)))
        x1 = nn.silu(self.dynin1norm(self.dynin1(stoch.reshape(*stoch.shape[:-2], -1))))
        pieces: tuple[Any, ...] = (deter, x0, x1, action)
        for name in self._recurrent:
            x = getattr(self, name)(*pieces)
            if name != "dyngru":
                pieces = (nn.silu(getattr(self, f"{name}norm")(x)),)
        gates = x.reshape(*x.shape[:-1], self.config.blocks, 3, -1)
        return gated(deter, *(gates[..., i, :].reshape(deter.shape) for i in range(3)))

    def posterior(self, deter: Array, tokens: Array | fast.Projected) -> Array:
        """Logits after seeing tokens `[..., E]`, or their share."""
        c = self.config
        pieces: tuple[Any, ...] = (tokens,) if c.absolute else (deter, tokens)
        if not c.obs_layers:
            pieces = (jnp.concatenate([full(x) for x in pieces], -1),)
        return self._logit("obs", c.obs_layers, *pieces)

    def prior(self, deter: Array) -> Array:
        """Logits before seeing anything."""
        return self._logit("prior", self.config.img_layers, deter)

    def observe_step(self, state: State, x: Mapping[str, Any]) -> tuple[State, Array]:
        """The next posterior and its logits; where `is_first` is set, from zeros."""
        deter = self.deter_step(zero_where(x["is_first"], state), x["action"])
        logit = self.posterior(deter, x["tokens"])
        return {"deter": deter, "stoch": draw(self, logit, x["noise"])}, logit

    def imagine_step(self, state: State, action: Array, noise: Array) -> tuple[State, Array]:
        """The next state and the prior's logits, from which it is drawn."""
        deter = self.deter_step(state, self.project_action(action))
        logit = self.prior(deter)
        return {"deter": deter, "stoch": draw(self, logit, noise)}, logit

    def _logit(self, name: str, layers: int, *pieces: Any) -> Array:
        for i in range(layers):
            x = nn.silu(getattr(self, f"{name}{i}norm")(getattr(self, f"{name}{i}")(*pieces)))
            pieces = (x,)
        logit = full(getattr(self, f"{name}logit")(*pieces))
        return logit.reshape(*logit.shape[:-1], self.config.stoch, self.config.classes)


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

    variables = fast.prepared(rssm, params, rssm.dtype)
    bound = rssm.bind(variables)
    # Of tokens and actions only their products enter the loop.
    xs = {
        "is_first": is_first,
        "action": bound.project_action(zero_where(is_first, action)),
        "tokens": bound.project_tokens(tokens),
        "noise": noise,
    }

    def step(variables: Any, state: State, x: Any) -> tuple[State, Array]:
        return rssm.apply(variables, state, x, method="observe_step")  # type: ignore[return-value]

    start = {name: start[name].astype(rssm.dtype) for name in ("deter", "stoch")}
    swap = lambda tree: jax.tree.map(lambda x: x.swapaxes(0, 1), tree)  # noqa: E731
    post, logit = swap(fast.scan(step, variables, start, swap(xs)))
    # Nothing recurs through the prior, so it is computed for all steps at once.
    return post, logit, bound.prior(post["deter"])


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

    variables = fast.prepared(rssm, params, rssm.dtype)

    def step(state: State, noise: Any) -> tuple[State, Any]:
        action = policy(state, noise[0])
        out: Any = rssm.apply(variables, state, join(action), noise[1], method="imagine_step")
        return out[0], (*out, action)

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
