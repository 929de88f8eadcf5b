"""Environments around environments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from embodied.core.env import MASK, STANDARD_SPACES, Env, Obs
from embodied.core.errors import EnvError, UserError, defined, notice, raised
from embodied.core.space import Space

# Share of a space's width by which a value may lie outside: rounding, no mistake.
_SLACK = 1e-3


class CheckedEnv:
    """Stops at the first observation or action that breaks the contract, naming its key.

    Continuous actions are clipped to their space: a Gaussian policy may draw any number, and its
    model sees the action clipped likewise.

    It costs some ten microseconds a step, and turns a NaN reward or a wrong shape into an error
    at the place where it arises instead of a broken replay or a loss that is not a number. What
    the environment's own code raises, `SystemExit` included, becomes an `EnvError` that names the
    call and the line; floats a hair outside their bounds are warned of once and kept.

    Images of floats in [0, 1] become 255ths: agents read all images as bytes.

    Args:
      env: the environment to check; what it lacks of `Env` beside spaces and `step` (`repeat`,
        `savable`, `save`, `load`, `close`) is taken as 1, False and nothing.
      name: the task, for messages.

    Raises:
      UserError: when a standard key is missing from the spaces or has another space, or an
        observation is called `action`.
    """

    def __init__(self, env: Env, name: str) -> None:
        self._env = env
        self._name = name
        self._over = True  # The next step has to start an episode.
        self._spaces = env.obs_space
        self._scales = {key: _scale(name, key, space) for key, space in env.obs_space.items()}
        self._scales = {key: scale for key, scale in self._scales.items() if scale}
        self.obs_space: dict[str, Space] = dict(env.obs_space)
        for key in self._scales:
            self.obs_space[key] = Space(np.uint8, self.obs_space[key].shape, 0, 255)
        self.act_space: dict[str, Space] = env.act_space
        self.repeat: int = getattr(env, "repeat", 1)
        self._near: set[str] = set()  # Keys of which a warning has been given.
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
        mask, action = self.obs_space.get(MASK), self.act_space["action"]
        choices = any(part.discrete for part in action.choices())
        if mask and choices and (mask.dtype, mask.shape) != (action.dtype, action.shape):
            raise UserError(
                f"{name}: obs_space[{MASK!r}] must have the dtype and shape of the action, float32 "
                f"{action.shape}, with 1 for what may be done, found {mask}"
            )
        self._drawn = self.act_space["action"].drawn()
        self._bounds = self.act_space["action"].limits()

    @property
    def savable(self) -> bool:
        """Whether the environment inside can save its state."""
        return bool(getattr(self._env, "savable", False))

    @property
    def unwrapped(self) -> Env:
        """The environment inside."""
        return self._env

    def step(self, action: np.ndarray | None) -> Obs:
        """Steps the environment and checks what goes in and what comes out.

        Args:
          action: float32 (A,); None starts an episode. Not looked at after the end of one.

        Returns:
          The observation, unchanged.

        Raises:
          UserError: naming the task and the key that is missing, unknown or outside its space, or
            the flag that breaks the order of episodes.
        """
        starts = action is None or self._over
        try:
            return self._call(self._method(starts), self._step, action)
        except EnvError:
            raise
        except UserError as error:
            if "; from " in str(error):
                raise
            raise UserError(f"{error}{self._place(self._method(starts))}") from error

    def _method(self, starts: bool) -> str:
        """Returns what the step of an adapter calls."""
        return "reset" if starts and hasattr(self._env, "place") else "step"

    def _place(self, method: str) -> str:
        """Says where the method of a foreign environment stands, whose result is wrong."""
        if hasattr(self._env, "place"):
            return self._env.place(method)
        where = defined(getattr(type(self._env), method, None))
        return f"; from {type(self._env).__name__}.{method}{where}" if where else ""

    def _step(self, action: np.ndarray | None) -> Obs:
        if action is None and self._over:  # Nobody has to know of None who sets no limit.
            action = np.zeros(self.act_space["action"].shape, np.float32)
        elif action is None:
            self._over = True
        elif not self._over:
            self._drawn.check("action", action)
            if self._bounds:
                action = np.clip(action, *self._bounds)
        obs = self._env.step(action)
        self._check(obs)
        self._over = bool(obs["is_last"])
        pixels = {
            key: (obs[key] * scale).round().clip(0, 255).astype(np.uint8)
            for key, scale in self._scales.items()
        }
        return {**obs, **pixels} if pixels else obs

    def _call(self, name: str, function: Callable[..., Any], *values: Any) -> Any:
        """Calls what reaches into the environment, and names it in every error."""
        try:
            return function(*values)
        except UserError as error:
            if str(error).startswith(f"{self._name}: "):
                raise
            kind = EnvError if isinstance(error, EnvError) else UserError
            raise kind(f"{self._name}: {error}") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # An environment raises whatever it likes.
            raise EnvError(f"{self._name}: {name}() raised {raised(error)}") from error

    def _check(self, obs: Obs) -> None:
        if not isinstance(obs, dict):
            raise UserError(f"expected a dict of arrays, got {type(obs).__name__}")
        if obs.keys() != self._spaces.keys():
            missing = sorted(self._spaces.keys() - obs.keys())
            unknown = sorted(obs.keys() - self._spaces.keys())
            raise UserError(f"observation lacks the keys {missing} and has unknown keys {unknown}")
        for key, space in self._spaces.items():
            try:
                space.check(key, obs[key])
            except UserError as error:
                self._forgive(key, space, obs[key], error)
        if bool(obs["is_first"]) != self._over:
            raise UserError(f"'is_first' must be {self._over} here, got {bool(obs['is_first'])}")
        if obs["is_terminal"] and not obs["is_last"]:
            raise UserError("'is_terminal' without 'is_last'")
        if self._over and obs["reward"] != 0:
            raise UserError(f"'reward' must be 0 at the first step, got {obs['reward']}")

    def _forgive(self, key: str, space: Space, value: np.ndarray, error: UserError) -> None:
        """Warns, once for each key, of a float a hair outside its bounds; raises otherwise."""
        if space.dtype.kind != "f" or key in STANDARD_SPACES or space.discrete:
            raise error
        ends = [end for end in (space.low, space.high) if end is not None]
        slack = _SLACK * max(ends[-1] - ends[0] if len(ends) == 2 else 1.0, 1e-6)
        low, high = (end if end is None else end + side * slack
                     for end, side in ((space.low, -1), (space.high, 1)))  # fmt: skip
        try:
            dataclasses.replace(space, low=low, high=high).check(key, value)
        except UserError:
            raise error from None
        if key not in self._near:
            self._near.add(key)
            notice(f"{self._name}: {error}; it is kept, and further ones are, without a word")

    def save(self) -> bytes | None:
        """Returns the state of the environment inside, with one byte of our own in front."""
        state = self._call("save", self._env.save) if hasattr(self._env, "save") else None
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
        except (Exception, SystemExit) as error:  # Simulators raise whatever they like of it.
            raise UserError(f"{damaged}: {error!r}") from error
        self._over = data[:1] == b"\x01"

    def close(self) -> None:
        """Closes the environment inside; a warning says if it raised, for nothing depends on it."""
        try:
            self._call("close", getattr(self._env, "close", lambda: None))
        except UserError as error:
            notice(str(error))


def _scale(name: str, key: str, space: Space) -> float:
    """Returns what makes the floats of an image bytes; 0 where there is nothing to do."""
    if space.dtype.kind != "f" or len(space.shape) != 3:
        return 0.0
    if space.low != 0 or space.high not in (1, 255):
        raise UserError(
            f"{name}: {key!r} has the shape of an image and is {space}; expected uint8, or floats "
            "with bounds 0 and 1 (for numbers that are no image: another shape)"
        )
    return 255.0 / space.high
