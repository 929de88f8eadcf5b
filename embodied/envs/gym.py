"""Any Gymnasium environment, and Gymnasium environments made by other suites."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from embodied.core.env import STANDARD_SPACES, Obs, standard_obs
from embodied.core.errors import UserError, nearest
from embodied.core.space import Space
from embodied.envs import gym_state
from embodied.envs import state as states
from embodied.envs.dmc import default_backend
from embodied.envs.gym_spaces import act, flat, flat_value, observe, resize


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of Gymnasium environments.

    Args:
      size: pixels along each side to which images are resized; 0 keeps them as they are.
      render: add what the environment renders (`render_mode='rgb_array'`) as `image`.
      repeat: environment steps for which an action is held; their rewards are summed.
    """

    size: int = 64
    render: bool = False
    repeat: int = 1

    def __post_init__(self) -> None:
        if self.size < 0 or self.repeat < 1:
            raise UserError(
                "env.gym.size must be at least 0 and env.gym.repeat at least 1, got "
                f"{self.size} and {self.repeat}"
            )


def tasks() -> tuple[str, ...]:
    """Returns nothing: any id that Gymnasium knows will do, `module:Id-v0` included."""
    return ()


def make(task: str, seed: int, options: Options) -> Gym:
    """Returns a Gymnasium environment by id, such as `CartPole-v1` or `ALE/Pong-v5`."""
    create = _creator(task, options)
    env = Gym(create(), seed, f"gym_{task}", options)
    env.savable = gym_state.can_save(env, lambda: Gym(create(), seed + 1, f"gym_{task}", options))
    return env


def _creator(task: str, options: Options) -> Callable[[], Any]:
    try:
        import gymnasium
    except ImportError as error:
        raise UserError(f"{task} needs the package gymnasium: {error}") from error
    if task.startswith("ALE/"):
        import ale_py

        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        gymnasium.register_envs(ale_py)
    if options.render:
        default_backend(True)
    arguments: dict[str, Any] = {"render_mode": "rgb_array"} if options.render else {}

    def create() -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Advice about versions and packages.
                return gymnasium.make(task, disable_env_checker=True, **arguments)
        except Exception as error:  # Entry points are anybody's code.
            if isinstance(error, (gymnasium.error.Error, ImportError, TypeError)):
                hint = "" if task in gymnasium.registry else nearest(task, gymnasium.registry)
                raise UserError(f"cannot make gym_{task}: {error}{hint}") from error
            reason = f"{type(error).__name__}: {error}"
            raise UserError(f"cannot make gym_{task}: {reason}") from error

    return create


class Gym:
    """One Gymnasium environment under the contract of `Env`.

    Images (uint8, two or three dimensions) become `image` or keep their key, everything else
    becomes float32 vectors; integers of Discrete spaces become one-hot. A single observation that
    is no image is called `vector`.

    Args:
      env: a Gymnasium environment.
      seed: of its first reset, hence of all that follow.
      name: the task, for messages.
      options: see `Options`.
      extra: keys of `info` (numbers or flags) that are added to the observation as float32 ().

    Raises:
      UserError: for spaces that fit no agent of ours.
    """

    savable = False

    def __init__(
        self, env: Any, seed: int, name: str, options: Options, extra: tuple[str, ...] = ()
    ) -> None:
        self._env = env
        self._seed: int | None = seed
        self._name = name
        self._options = options
        self._extra = extra
        self._over = True
        self.repeat = options.repeat
        self._convert: dict[str, Callable[[Any], np.ndarray]] = {}
        self.obs_space: dict[str, Space] = dict(STANDARD_SPACES)
        for key, space in flat(env.observation_space, name).items():
            taken = key in (*STANDARD_SPACES, "action", *extra)
            if taken or (options.render and key == "image"):
                raise UserError(f"{name}: its observation has the key {key!r}, which is taken")
            found = observe(space, f"{name}: {key}", options.size)
            self.obs_space[key], self._convert[key] = found
        if options.render:
            height, width = self._frame_shape()
            self.obs_space["image"] = Space(np.uint8, (height, width, 3), 0, 255)
        for key in extra:
            self.obs_space[key] = Space(np.float32)
        self._act, action = act(env.action_space, name)
        self.act_space: dict[str, Space] = {"action": action}

    def _frame(self) -> np.ndarray:
        """Returns what the environment renders, uint8 (H, W, 3)."""
        import gymnasium

        try:
            return np.asarray(self._env.render(), np.uint8)
        except (gymnasium.error.Error, ImportError) as error:
            raise UserError(f"{self._name}: cannot render: {error}") from error

    def _frame_shape(self) -> tuple[int, int]:
        if self._options.size:
            return self._options.size, self._options.size
        self._env.reset(seed=self._seed)
        height, width = self._frame().shape[:2]
        return height, width

    def step(self, action: np.ndarray) -> Obs:
        """Holds one action for `repeat` steps; see `Env.step`."""
        if self._over:
            found, info = self._env.reset(seed=self._seed)
            self._seed = None
            self._over = False
            return self._obs(found, info, standard_obs(is_first=True))
        reward = 0.0
        choice = self._act(action)
        for _ in range(self._options.repeat):
            found, gain, terminated, truncated, info = self._env.step(choice)
            reward += float(gain)
            self._over = bool(terminated or truncated)
            if self._over:
                break
        return self._obs(found, info, standard_obs(reward, False, self._over, bool(terminated)))

    def _obs(self, found: Any, info: dict[str, Any], obs: Obs) -> Obs:
        if self._options.render:
            obs["image"] = resize(self._frame(), self._options.size)
        values = flat_value(found)
        for key, convert in self._convert.items():
            obs[key] = convert(values[key] if key in values else values[""])
        for key in self._extra:
            obs[key] = np.asarray(info.get(key, 0.0), np.float32)
        return obs

    def save(self) -> bytes | None:
        """Returns the attributes of the environment and its wrappers, if those are all there is."""
        if not self.savable:
            return None
        layers = [gym_state.layer_state(layer) for layer in self.layers()]
        return states.pack({"layers": layers, "seed": self._seed, "over": self._over})

    def load(self, data: bytes) -> None:
        """Restores what `save` returned."""
        state = states.expect(states.unpack(data), {"layers", "seed", "over"}, self._name)
        layers = self.layers()
        if len(layers) != len(state["layers"]):
            raise UserError(f"{self._name}: the saved state has other wrappers than this one")
        for layer, saved in zip(layers, state["layers"]):
            gym_state.set_layer_state(layer, saved)
        self._seed, self._over = state["seed"], state["over"]

    def layers(self) -> list[Any]:
        """Returns the environment and its wrappers, outermost first."""
        layers = [self._env]
        while hasattr(layers[-1], "env"):
            layers.append(layers[-1].env)
        return layers

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()
