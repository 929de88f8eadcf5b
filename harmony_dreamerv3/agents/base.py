"""What every agent is: pure functions of a frozen TrainState.

An agent holds only what does not change: configuration, spaces, modules. Whatever it learns is in
its `TrainState`, so that `jax.jit` compiles an update, and `jax.vmap` trains several learners side
by side in one program.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import flax.struct
import jax
import jax.numpy as jnp
import optax

from embodied.core.env import MASK
from embodied.core.space import Space
from harmony_dreamerv3.config import Config

Array = jax.Array
Params = dict[str, Any]
Batch = Mapping[str, Array]  # [B, T, ...]: windows of the replay
Carry = Any  # [N, ...]: what the policy remembers of N environments


class TrainState(flax.struct.PyTreeNode):
    """Everything that an update reads and writes; an agent adds its own fields in a subclass."""

    params: Params  # by part, such as {'world_model', 'balance', 'actor', 'critic'}
    opt: dict[str, Any]  # optimizer states by name
    balance: Any  # state of the balancer that is not trained
    updates: Array  # [] int32, updates so far
    key: Array  # [2] uint32, threefry; never changes: update u draws from fold_in(key, u)
    alive: Array  # [] bool; False once a loss was not finite, then nothing changes any more


State = TypeVar("State", bound=TrainState)


@dataclasses.dataclass(frozen=True)
class Agent(abc.ABC):
    """What the runtime asks of an agent, and what is the same in all.

    All methods are pure and work under `jax.vmap` with a leading axis of learners.
    """

    config: Config  # the whole; `config.agent` is that of the base
    obs_space: Mapping[str, Space]
    act_space: Mapping[str, Space]  # {'action': Space}
    sampling: bool = True  # False replaces every random draw by its mode

    @functools.cached_property
    def dtype(self) -> Any:
        """Dtype of the computation."""
        return jnp.dtype(self.config.jax.precision)

    @functools.cached_property
    def param_dtype(self) -> Any:
        """Dtype of parameters, losses and optimizer: float32, or float64 when computing so."""
        return jnp.promote_types(self.dtype, jnp.float32)

    @property
    def actions(self) -> int:
        """Size A of the action vector, of all actions joined."""
        return sum(space.shape[0] for space in self.act_space.values())

    def noise(self, draw: Callable[..., Array], key: Array, shape: tuple[int, ...]) -> Array:
        """What `draw` of `jax.random` gives, `[*shape]`, or zeros, at which draws are modes."""
        dtype = self.param_dtype
        return draw(key, shape, dtype) if self.sampling else jnp.zeros(shape, dtype)

    @property
    @abc.abstractmethod
    def seen_keys(self) -> tuple[str, ...]:
        """Keys of observations that the encoder sees, and when it starts anew."""

    @property
    def obs_keys(self) -> tuple[str, ...]:
        """Keys of observations that `policy` reads: those, and what may not be done."""
        return tuple(dict.fromkeys((*self.seen_keys, *({MASK} & self.obs_space.keys()))))

    @property
    @abc.abstractmethod
    def batch_keys(self) -> tuple[str, ...]:
        """Keys of windows that `train_step` and `report` read."""

    @abc.abstractmethod
    def init(self, key: Array) -> Any:
        """Draws a fresh TrainState; all draws of the run derive from `key`, `[2]` uint32."""

    @abc.abstractmethod
    def train_step(self, state: Any, batch: Batch) -> tuple[Any, dict[str, Array], dict]:
        """One update, on windows `[B, T, ...]`.

        Returns:
          The state after; outputs `{name: [B, T, ...]}`, written back into the replay at the
          trained steps; scalar metrics by name.
        """

    @abc.abstractmethod
    def policy_params(self, state: Any) -> Params:
        """What acting needs of a state."""

    @abc.abstractmethod
    def initial_carry(self, rows: int) -> Carry:
        """The policy's memory before the first observation, for `rows` environments."""

    @abc.abstractmethod
    def policy(
        self, params: Params, carry: Carry, obs: Batch, key: Array, mode: str
    ) -> tuple[Carry, Array]:
        """Chooses actions.

        Args:
          params: of `policy_params`.
          carry, obs: memory and observations of `obs_keys`, `[N, ...]`.
          key: threefry key of this step.
          mode: `train`, for the replay, or `eval`, to be scored.

        Returns:
          The next carry and actions `[N, A]`.
        """

    @property
    def stored_space(self) -> Mapping[str, Space]:
        """Spaces of what `stored` gives, without the leading axis."""
        return {}

    def stored(self, carry: Carry) -> dict[str, Array]:
        """What the policy leaves in the replay with each step, `[N, ...]` each."""
        return {}

    @abc.abstractmethod
    def report(self, state: Any, batch: Batch, key: Array) -> dict[str, Any]:
        """Heavy metrics: `.../video` uint8 `[T, H, W, C]`, `.../hist` `[K]`, scalars."""


def step(
    state: State,
    name: str,
    optimizer: optax.GradientTransformationExtraArgs,
    params: Params,
    grads: Params,
    *losses: Array,
) -> tuple[Params, State, Array]:
    """Steps one optimizer, unless the learner is dead or dies of these losses or gradients.

    Args:
      state: gives `opt[name]` and `alive`; its parameters are left alone.
      name: of the optimizer.
      optimizer: stands still where its argument `finite` is false.
      params, grads: what the optimizer trains, and their gradients.
      *losses: scalars that must be finite.

    Returns:
      Parameters after; the state with the optimizer's own and `alive`; the gradient's norm.
    """
    norm = optax.tree.norm(grads)
    alive = state.alive & jnp.isfinite(jnp.stack([norm, *losses])).all()
    updates, opt = optimizer.update(grads, state.opt[name], params, finite=alive)
    params = optax.apply_updates(params, updates)
    return params, state.replace(opt={**state.opt, name: opt}, alive=alive), norm


def unless_dead(alive: Array, new: Any, old: Any) -> Any:
    """`new` where the learner is alive, else `old`."""
    return jax.tree.map(lambda a, b: jnp.where(alive, a, b), new, old)
