"""Any Gymnasium environment by its id, and environments that a dotted path makes."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from embodied.core import ranges
from embodied.core.env import MASK, STANDARD_SPACES, Env, Obs, standard_obs
from embodied.core.errors import UserError, defined, nearest, one_of, raised
from embodied.core.space import Space
from embodied.envs._tools import elsewhere, gym_actions, gym_spaces, gym_state, own
from embodied.envs._tools import state as states
from embodied.envs._tools.gl import default_backend


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of Gymnasium environments.

    Args:
      size: pixels along each side to which images are resized; 0 keeps them as they are.
      render: add what the environment renders (`render_mode='rgb_array'`) as `image`.
      repeat: environment steps for which an action is held; their rewards are summed.
      keys: by key of the observation `image`, `vector` or `ignore`, instead of what it looks like.
      kwargs: keyword arguments of what makes the environment, such as `{level: 3}`.
    """

    size: int = 64
    render: bool = False
    repeat: int = 1
    keys: Mapping[str, str] = dataclasses.field(default_factory=dict)
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        ranges.check(self, {"size": ranges.COUNT_OR_NONE, "repeat": ranges.COUNT}, "env.gym.")
        for key, choice in self.keys.items():
            one_of(f"env.gym.keys.{key}", choice, gym_spaces.CHOICES)


def installed() -> tuple[str, ...]:
    """Returns the ids that Gymnasium knows by itself."""
    import gymnasium

    return tuple(sorted(gymnasium.registry))


def make(task: str, seed: int, options: Options) -> Env:
    """Returns an environment by id, such as `CartPole-v1`, or by path, such as `pkg.mod:make/3`."""
    name = task if own.is_own(task) else f"gym_{task}"
    if options.render:
        default_backend(True)
    if name == task:
        env = own.create(task, seed, options.kwargs)
        return env if hasattr(env, "obs_space") else Gym(env, seed, name, options)
    create = _creator(task, options)
    env = Gym(create(), seed, name, options)
    env.savable = gym_state.can_save(env, lambda: Gym(create(), seed + 1, name, options))
    return env


def _creator(task: str, options: Options) -> Callable[[], Any]:
    import gymnasium

    if task.startswith("ALE/"):
        import ale_py

        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        gymnasium.register_envs(ale_py)
    arguments = {"render_mode": "rgb_array"} if options.render else {}

    def create() -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Advice about versions and packages.
                return gymnasium.make(
                    task, disable_env_checker=True, **{**arguments, **options.kwargs}
                )
        except (gymnasium.error.Error, ImportError, TypeError) as error:
            hint = elsewhere.hint(f"gym_{task}")
            spec = gymnasium.registry.get(task.rpartition(":")[2])
            if spec is None:
                hint = hint or nearest(
                    f"gym_{task}", [f"gym_{each}" for each in gymnasium.registry]
                )
            elif "gymnasium.envs.mujoco" in str(spec.entry_point):
                hint = "; pip install 'harmony-dreamerv3[mujoco]'"
            elif isinstance(error, TypeError):
                hint = "; give it arguments with --env.gym.kwargs '{name: value}'"
            what = raised(error, _maker(gymnasium, spec)) if isinstance(error, TypeError) else error
            raise UserError(f"cannot make gym_{task}: {what}{hint}") from error

    return create


def _maker(gymnasium: Any, spec: Any) -> str:
    """Says where the class or function that a spec names is defined, if that is known."""
    maker = getattr(spec, "entry_point", None)
    try:
        maker = (
            gymnasium.envs.registration.load_env_creator(maker) if isinstance(maker, str) else maker
        )
    except Exception:
        return ""
    return defined(maker)


class Gym:
    """One Gymnasium environment under the contract of `Env`; see `gym_spaces` for its spaces.

    A single observation that is no Dict is called `image` or `vector`.

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
        self.repeat = options.repeat * _frameskip(env, name)
        # Their key of each of our keys, with what converts its values.
        self._convert: dict[str, tuple[str, Callable[[Any], np.ndarray]]] = {}
        self.obs_space: dict[str, Space] = dict(STANDARD_SPACES)
        try:
            self._act, action = gym_actions.act(env.action_space)
            # What forbids choices comes in the observation or, as a trial reset tells, in `info`.
            choices = any(part.discrete for part in action.choices())
            self._mask: Callable[[Any], np.ndarray] | None = None
            if choices:
                self._mask = functools.partial(gym_actions.mask, env.action_space, action)
            self._observe(env.observation_space, action)
            asked = choices and options.keys.get(MASK) != "ignore"
            self._informed = asked and MASK not in self.obs_space and self._tells_mask()
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
        if options.render:
            height, width = self._frame_shape()
            self.obs_space["image"] = Space(np.uint8, (height, width, 3), 0, 255)
        for key in extra:
            self.obs_space[key] = Space(np.float32)
        self.act_space: dict[str, Space] = {"action": action}
        if self._informed:
            self.obs_space[MASK] = Space(np.float32, action.shape, 0, 1)

    def _tells_mask(self) -> bool:
        """Whether `info` says what may be done; the first episode is reset with the seed again."""
        try:
            return MASK in self._env.reset(seed=self._seed)[1]
        except (Exception, SystemExit):  # The first step will say it.
            return False

    def _observe(self, space: Any, action: Space) -> None:
        """Fills `obs_space` from theirs."""
        size, choices = self._options.size, self._options.keys
        leaves = gym_spaces.flat(space)
        keys = (*(leaves if "" not in leaves else _SINGLE), MASK)
        unknown = [key for key in choices if key not in keys]
        if unknown:
            names = list(_SINGLE if "" in leaves else leaves)
            raise UserError(f"env.gym.keys: there is no key {unknown[0]!r}, only {names}")
        for theirs, leaf in leaves.items():
            single = [choices[key] for key in _SINGLE if key in choices and not theirs]
            choice = single[0] if single else choices.get(theirs, "")
            if choice == "ignore":
                continue
            if theirs == MASK and self._mask and not choice:
                self.obs_space[MASK] = Space(np.float32, action.shape, 0, 1)
                self._convert[MASK] = theirs, self._mask
                continue
            pixels = choice == "image" or (not choice and gym_spaces.looks(leaf))
            key = theirs or _SINGLE[0 if pixels else 1]
            ours, convert = gym_spaces.observe(leaf, key, size, choice)
            taken = (*STANDARD_SPACES, "action", *self._extra)
            if key in taken or (self._options.render and key == "image"):
                raise UserError(f"its observation has the key {key!r}, which is taken")
            self.obs_space[key], self._convert[key] = ours, (theirs, convert)
        if not self._convert and not self._options.render:
            raise UserError("nothing is to be seen; --env.gym.render True adds what it renders")

    def _frame(self) -> np.ndarray:
        """Returns what the environment renders, uint8 (H, W, 3)."""
        import gymnasium

        try:
            return gym_spaces.pixels(self._env.render(), "render()")
        except UserError as error:
            raise UserError(f"{self._name}: {error}{self.place('render')}") from error
        except (gymnasium.error.Error, ImportError) as error:
            raise UserError(f"{self._name}: cannot render: {error}") from error

    def _frame_shape(self) -> tuple[int, int]:
        if self._options.size:
            return self._options.size, self._options.size
        self._env.reset(seed=self._seed)
        height, width = self._frame().shape[:2]
        return height, width

    def step(self, action: np.ndarray | None) -> Obs:
        """Holds one action for `repeat` steps; see `Env.step`."""
        return self._reset() if self._over or action is None else self._advance(action)

    def _reset(self) -> Obs:
        found, info = self._results("reset", 2, seed=self._seed)
        self._seed = None
        self._over = False
        return self._obs(found, info, standard_obs(is_first=True))

    def _advance(self, action: np.ndarray) -> Obs:
        reward = 0.0
        choice = self._act(action)
        for _ in range(self._options.repeat):
            found, gain, terminated, truncated, info = self._results("step", 5, choice)
            reward += gym_spaces.scalar(gain, "reward")
            terminated = gym_spaces.flag(terminated, "terminated")
            self._over = gym_spaces.flag(truncated, "truncated") or terminated
            if self._over:
                break
        return self._obs(found, info, standard_obs(reward, False, self._over, terminated))

    def _results(self, call: str, count: int, *values: Any, **named: Any) -> tuple[Any, ...]:
        """Calls the environment, and refuses what comes from Gym's old interface."""
        names = "(observation, info)" if count == 2 else "(observation, reward, ended, cut, info)"
        expected = f"expected {call}{'(action)' if count == 5 else '(seed=None)'} to return {names}"
        try:
            results = getattr(self._env, call)(*values, **named)
        except (ValueError, TypeError) as error:
            if "unpack" not in str(error) and "unexpected keyword" not in str(error):
                raise
            raise UserError(f"{expected}, got {raised(error)}") from error
        if not isinstance(results, tuple) or len(results) != count:
            what = (
                f"{len(results)} values" if isinstance(results, tuple) else type(results).__name__
            )
            raise UserError(f"{expected}, as Gymnasium does, got {what}")
        return results

    def place(self, method: str) -> str:
        """Says where a method of the environment inside stands."""
        kind = type(getattr(self._env, "unwrapped", self._env))
        return f"; from {kind.__name__}.{method}{defined(getattr(kind, method, None))}"

    def _obs(self, found: Any, info: Any, obs: Obs) -> Obs:
        if self._options.render:
            obs["image"] = gym_spaces.resize(self._frame(), self._options.size)
        values = gym_spaces.flat_value(found)
        for key, (theirs, convert) in self._convert.items():
            if theirs not in values:
                what = sorted(values) if "" not in values else type(found).__name__
                raise UserError(
                    f"the observation lacks the key {theirs!r} of its space, got {what}"
                )
            obs[key] = convert(values[theirs])
        if self._informed:
            obs[MASK] = self._told_mask(info, bool(obs["is_last"]))
        for key in self._extra:
            obs[key] = np.asarray(info.get(key, 0.0), np.float32)
        return obs

    def _told_mask(self, info: Any, last: bool) -> np.ndarray:
        """Returns the mask of `info`, which may be left out where an episode ends."""
        if MASK not in info and not last:
            raise UserError(f"its info lacks {MASK!r}, which that of reset() has")
        assert self._mask
        return self._mask(info.get(MASK))

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
        if hasattr(self._env, "close"):
            self._env.close()


_SINGLE = ("image", "vector")  # Names of an observation that is no Dict.


def _frameskip(env: Any, name: str) -> int:
    """Returns the frames of each step of an environment that skips some by itself."""
    skip = getattr(getattr(env, "unwrapped", env), "_frameskip", 1)
    if not isinstance(skip, int):
        raise UserError(
            f"{name} skips a random number of frames {skip}, so that none can be counted; give "
            "--env.gym.kwargs '{frameskip: 4}'"
        )
    return skip
