"""A trained agent in the caller's hands: act, observe, imagine, decode."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from embodied.core.errors import UserError, nearest
from embodied.core.space import Space
from harmony_dreamerv3 import prng
from harmony_dreamerv3.config import Config, environments
from harmony_dreamerv3.interop import sources
from harmony_dreamerv3.runtime import devices, trees
from harmony_dreamerv3.runtime.runtime import Runtime

Latents = dict[str, jax.Array]
SEED_MASK = 2**32 - 1


def load(run: str | Path, *, env: Any = None, platform: str | None = None) -> Model:
    """Loads the agent of a run, as its newest checkpoint has it.

    Args:
      run: a run folder, such as `runs/atari_pong-harmony-0`, or `SWEEP/seed-0` of a population; a
        checkpoint in it, such as `RUN/checkpoints/000000005000`; or a folder of `export --hub`.
      env: the environment of a run that was given one; only its spaces are looked at.
      platform: auto, cpu, gpu or tpu; None for that of the run.

    Raises:
      UserError: when the folder holds no run, or no checkpoint that can be read.
    """
    from harmony_dreamerv3.api.training import makers

    source = sources.read(run)
    config = source.config
    if config is None:
        raise UserError(f"{run} holds arrays without a configuration; make a run of it with import")
    config = dataclasses.replace(config, jax=config.jax.alone(platform))
    with devices.memory_errors():
        devices.setup(config.jax)
        spaces = environments.spaces(makers(config, env)[0])
        runtime = Runtime(config, spaces.obs, spaces.act, [config.seed])
        # A hub folder has no optimizer; a fresh one stands in.
        runtime.load([{**runtime.save()[0], **source.arrays} if source.hub else source.arrays])
        params = trees.member(runtime.agent.policy_params(runtime.state), 0)
        state = trees.member(runtime.state, 0)
    # A base whose functions need something else of a state than parameters says so.
    parameters = getattr(_functions_of(config.base), "parameters", lambda state: state.params)
    return Model(config, runtime.agent, parameters(state), params, source.step)


class Model:
    """An agent with its parameters. All arrays have a leading axis of rows; nothing is changed.

    Everything random comes from the argument `seed`: equal calls give equal results. Actions are
    float32 `[..., A]`, one-hot where the environment's are discrete.

    Args:
      config: of the run.
      agent: the agent; see `agents.base`.
      params: parameters by part, such as `{'world_model', 'actor', 'critic'}`.
      policy_params: those that acting needs.
      step: agent steps of the checkpoint.
    """

    def __init__(
        self, config: Config, agent: Any, params: Any, policy_params: Any, step: int
    ) -> None:
        self.config, self.agent, self.params, self.step = config, agent, params, step
        self._policy_params = policy_params
        self._base = _functions_of(config.base)
        self._policy = jax.jit(agent.policy, static_argnames="mode")
        self._dream = jax.jit(functools.partial(self._base.dream, agent), static_argnums=2)

    @property
    def obs_space(self) -> Mapping[str, Space]:
        """Observations by key: dtype and shape without the leading axes."""
        return self.agent.obs_space

    @property
    def act_space(self) -> Space:
        """Actions: float32 `[A]`; `discrete` says whether they are one-hot."""
        return self.agent.act_space["action"]

    def act(
        self, obs: Mapping[str, Any], carry: Any = None, *, mode: str = "eval", seed: int = 0
    ) -> tuple[np.ndarray, Any]:
        """Chooses actions.

        Args:
          obs: arrays `[N, ...]` by key, in the dtypes of `obs_space`. `is_first` bool `[N]` marks
            rows that begin an episode; left out, it holds where there is no carry.
          carry: what the call before returned; None at the start.
          mode: `eval` or `train`.
          seed: of the draws; another one at each step.

        Returns:
          Actions float32 `[N, A]`, and the carry for the next call.

        Raises:
          UserError: for a missing key, or an array of another shape.
        """
        rows = len(next(iter(obs.values())))
        first = np.full(rows, carry is None)
        arrays = self._check({"is_first": first, **obs}, self.agent.obs_keys, 1)
        carry = self.agent.initial_carry(rows) if carry is None else carry
        carry, action = self._policy(self._policy_params, carry, arrays, _key(seed), mode=mode)
        return np.array(action, np.float32), carry

    def observe(self, batch: Mapping[str, Any], *, seed: int = 0) -> Latents:
        """Filters windows.

        Args:
          batch: arrays `[B, T, ...]`: the observations, `action` float32 `[B, T, A]` (each the one
            taken after its observation), and `is_first` bool `[B, T]`; left out, it holds at the
            first steps.
          seed: of the draws.

        Returns:
          Latents `{name: [B, T, ...]}`, drawn from the posteriors.

        Raises:
          UserError: for a missing key, or an array of another shape.
        """
        shape = np.shape(batch["action"])[:2] if "action" in batch else (1, 1)
        first = np.zeros(shape, bool)
        first[:, 0] = True
        keys = (*self.agent.obs_keys, "action")
        arrays = self._check({"is_first": first, **batch}, keys, 2)
        return self._call("observe", arrays, _key(seed))

    def imagine(
        self,
        start: Mapping[str, Any],
        actions: Any = None,
        steps: int | None = None,
        *,
        seed: int = 0,
    ) -> tuple[Latents, jax.Array]:
        """Predicts what follows, without observations.

        Args:
          start: latents `[N, ...]`, such as `{k: v[:, -1] for k, v in observed.items()}`.
          actions: float32 `[N, H, A]`, the first taken at the start; None for the policy's own.
          steps: H, where the policy acts.
          seed: of the draws.

        Returns:
          Latents `{name: [N, H, ...]}` after each action, and the actions `[N, H, A]`.

        Raises:
          UserError: unless exactly one of `actions` and `steps` is given, and it fits.
        """
        if (actions is None) == (steps is None):
            raise UserError("imagine: expected either actions or steps")
        if actions is None:
            if steps is None or steps < 1:
                raise UserError(f"imagine: expected steps of at least 1, got {steps}")
            return self._dream(self.params, dict(start), steps, _key(seed))
        size = self.act_space.shape[0]
        given = jnp.asarray(actions, jnp.float32)
        if given.ndim != 3 or given.shape[-1] != size or not given.shape[1]:
            raise UserError(f"imagine: expected actions [N, H, {size}], got {given.shape}")
        return self._call("follow", dict(start), given, _key(seed)), given

    def decode(self, latents: Mapping[str, Any]) -> dict[str, jax.Array]:
        """Predicted observations `{key: [..., *shape]}`; images in about [0, 1]."""
        return self._call("decode", dict(latents))

    def reward(self, latents: Mapping[str, Any]) -> jax.Array:
        """Predicted reward `[...]` of latents `[..., ...]`."""
        return self._call("reward", dict(latents))

    def cont(self, latents: Mapping[str, Any]) -> jax.Array:
        """Predicted probability `[...]`, in [0, 1], that the episode goes on."""
        return self._call("cont", dict(latents))

    def value(self, latents: Mapping[str, Any]) -> jax.Array:
        """The critic's prediction `[...]` of the discounted return."""
        return self._call("value", dict(latents))

    @functools.cached_property
    def _functions(self) -> dict[str, Any]:
        names = ("observe", "follow", "decode", "reward", "cont", "value")
        made = {name: functools.partial(getattr(self._base, name), self.agent) for name in names}
        return {name: jax.jit(function) for name, function in made.items()}

    def _call(self, name: str, *args: Any) -> Any:
        return self._functions[name](self.params, *args)

    def _check(
        self, arrays: Mapping[str, Any], keys: Sequence[str], axes: int
    ) -> dict[str, np.ndarray]:
        spaces = {**self.agent.obs_space, **self.agent.act_space}
        found = {}
        for key in dict.fromkeys(keys):
            if key not in arrays:
                raise UserError(f"the key {key!r} is missing{nearest(key, arrays)}")
            space, value = spaces[key], np.asarray(arrays[key])
            if value.ndim < axes or value.shape[axes:] != space.shape:
                lead = ", ".join("NT"[:axes] if axes == 1 else "BT")
                shape = ", ".join(filter(None, (lead, *map(str, space.shape))))
                raise UserError(f"{key}: expected the shape [{shape}], got {list(value.shape)}")
            if space.dtype == np.uint8 and value.dtype != np.uint8:
                raise UserError(f"{key}: expected dtype uint8, 0 to 255, got {value.dtype}")
            found[key] = value.astype(space.dtype, copy=False)
        return found


def _functions_of(base: str) -> Any:
    """The module that answers for a base."""
    name = f"harmony_dreamerv3.api.{base}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UserError(f"agents of base {base} cannot be loaded yet: there is no {name}") from None


def _key(seed: int) -> jax.Array:
    return prng.of_seed(seed & SEED_MASK)
