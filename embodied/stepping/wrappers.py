"""Environments around environments."""

from __future__ import annotations

import dataclasses

import numpy as np

from embodied.core.env import STANDARD_SPACES, Env, Obs
from embodied.core.errors import UserError
from embodied.core.space import Space


class CheckedEnv:
    """Stops at the first observation or action that breaks the contract, naming its key.

    Continuous actions are clipped to their space: a Gaussian policy may draw any number, and its
    model sees the action clipped likewise.

    It costs some ten microseconds a step, and turns a NaN reward or a wrong shape into an error
    at the place where it arises instead of a broken replay or a loss that is not a number.

    Args:
      env: the environment to check.
      name: the task, for messages.

    Raises:
      UserError: when a standard key is missing from the spaces or has another space, or an
        observation is called `action`.
    """

    def __init__(self, env: Env, name: str) -> None:
        self._env = env
        self._name = name
        self._over = True  # The next step has to start an episode.
        self.obs_space: dict[str, Space] = env.obs_space
        self.act_space: dict[str, Space] = env.act_space
        self.repeat: int = env.repeat
        self._drawn = {
            key: space if space.discrete else dataclasses.replace(space, low=None, high=None)
            for key, space in env.act_space.items()
        }
        for key, space in STANDARD_SPACES.items():
            found = self.obs_space.get(key)
            if found is None or (found.dtype, found.shape) != (space.dtype, space.shape):
                raise UserError(f"{name}: obs_space[{key!r}] must be {space}, found {found}")
        if "action" in self.obs_space:  # Both are stored under their keys.
            raise UserError(
                f"{name}: its observation has the key 'action', which is the action's; rename it"
            )
        if set(self.act_space) != {"action"} or self.act_space["action"].dtype != np.float32:
            raise UserError(
                f"{name}: act_space must be {{'action': float32 Space}}, found {self.act_space}"
            )

    @property
    def savable(self) -> bool:
        """Whether the environment inside can save its state."""
        return self._env.savable

    @property
    def unwrapped(self) -> Env:
        """The environment inside."""
        return self._env

    def step(self, action: np.ndarray) -> Obs:
        """Steps the environment and checks what goes in and what comes out.

        Args:
          action: float32 (A,); not looked at when the step starts an episode.

        Returns:
          The observation, unchanged.

        Raises:
          UserError: naming the task and the key that is missing, unknown or outside its space, or
            the flag that breaks the order of episodes.
        """
        try:
            if not self._over:
                self._drawn["action"].check("action", action)
                space = self.act_space["action"]
                if not space.discrete:
                    action = np.clip(action, space.low, space.high)
            obs = self._env.step(action)
            self._check(obs)
        except UserError as error:
            if str(error).startswith(f"{self._name}: "):
                raise
            raise UserError(f"{self._name}: {error}") from error
        self._over = bool(obs["is_last"])
        return obs

    def _check(self, obs: Obs) -> None:
        if obs.keys() != self.obs_space.keys():
            missing = sorted(self.obs_space.keys() - obs.keys())
            unknown = sorted(obs.keys() - self.obs_space.keys())
            raise UserError(f"observation lacks the keys {missing} and has unknown keys {unknown}")
        for key, space in self.obs_space.items():
            space.check(key, obs[key])
        if bool(obs["is_first"]) != self._over:
            raise UserError(f"'is_first' must be {self._over} here, got {bool(obs['is_first'])}")
        if obs["is_terminal"] and not obs["is_last"]:
            raise UserError("'is_terminal' without 'is_last'")
        if self._over and obs["reward"] != 0:
            raise UserError(f"'reward' must be 0 at the first step, got {obs['reward']}")

    def save(self) -> bytes | None:
        """Returns the state of the environment inside, with one byte of our own in front."""
        state = self._env.save()
        return None if state is None else bytes([self._over]) + state

    def load(self, data: bytes) -> None:
        """Restores what `save` returned.

        Raises:
          UserError: when the bytes are something else.
        """
        damaged = f"{self._name}: the saved environment state is damaged"
        if data[:1] not in (b"\x00", b"\x01"):
            raise UserError(damaged)
        try:
            self._env.load(data[1:])
        except UserError:
            raise
        except Exception as error:  # Simulators raise whatever they like about a foreign state.
            raise UserError(f"{damaged}: {error!r}") from error
        self._over = data[:1] == b"\x01"

    def close(self) -> None:
        """Closes the environment inside."""
        self._env.close()
