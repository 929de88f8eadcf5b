"""Meta-world's manipulation tasks, from images or vectors, with success told apart."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from embodied.core import ranges
from embodied.core.env import STANDARD_SPACES, Obs, standard_obs
from embodied.core.errors import UserError, nearest
from embodied.core.space import Space
from embodied.envs._tools import physics
from embodied.envs._tools import state as states
from embodied.envs._tools.gl import GL_HELP, default_backend

PACKAGE, INSTALL = "metaworld", "harmony-dreamerv3[metaworld]"
CLOSE = "corner2_close"  # The camera corner2, moved as the released code does.
_CLOSE_POSITION = (0.75, 0.075, 0.7)


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of Meta-world; the defaults are those of the released code.

    Args:
      image: render the observation `image`, uint8 (size, size, 3), beside the `vector` of 39.
      size: pixels along each side of the image.
      camera: name of the camera, such as `corner`, `corner2`, or `corner2_close`; images of those
        called corner are turned upright.
      repeat: control steps for which an action is held; their rewards are summed, and a success
        ends the holding.
      fixed_goals: draw goals and objects from the package's 50 instead of afresh at each reset.
    """

    image: bool = True
    size: int = 64
    camera: str = "corner"
    repeat: int = 1
    fixed_goals: bool = False

    def __post_init__(self) -> None:
        ranges.check(self, dict.fromkeys(("size", "repeat"), ranges.COUNT), "env.metaworld.")


def installed() -> tuple[str, ...]:
    """Returns the tasks that the package has."""
    return tuple(_names())


def _names() -> dict[str, str]:
    """Returns the package's name of each task."""
    try:
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS
    except ImportError as error:
        raise UserError(
            f"Meta-world tasks need the package metaworld: pip install '{INSTALL}' ({error})"
        ) from error
    return {name.removesuffix("-v3").replace("-", "_"): name for name in ALL_V3_ENVIRONMENTS}


def make(task: str, seed: int, options: Options) -> MetaWorld:
    """Returns a task such as `lever_pull`, in the package's version 3.

    Raises:
      UserError: unknown task, missing package, or rendering that is impossible here.
    """
    default_backend(options.image)
    names = _names()
    if task not in names:
        hint = nearest(f"metaworld_{task}", (f"metaworld_{name}" for name in names))
        raise UserError(f"unknown task 'metaworld_{task}'{hint}")
    import metaworld
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    env = ALL_V3_ENVIRONMENTS[names[task]]()
    goals = metaworld.MT1(names[task], seed=seed).train_tasks if options.fixed_goals else []
    return MetaWorld(env, goals, seed, f"metaworld_{task}", options)


class MetaWorld:
    """One Meta-world task: `vector`, perhaps `image`, and `success` (0 or 1) of each step.

    The goal stands in the vector. Episodes are cut by the package after 500 steps; success does not
    end them.

    Args:
      env: the package's environment, fresh.
      goals: its tasks to choose from at each reset; none for goals drawn afresh.
      seed: of goals and object positions.
      name: the task, for messages.
      options: see `Options`.
    """

    savable = True

    def __init__(self, env: Any, goals: list[Any], seed: int, name: str, options: Options) -> None:
        self._env, self._goals, self._name, self._options = env, goals, name, options
        self._over = True
        self._renderer: Any = None
        self.repeat = options.repeat
        # As in the package's goal-observable classes, but with its own generator.
        env._partially_observable = False
        vars(env).pop("sawyer_observation_space", None)
        env._freeze_rand_vec, env.seeded_rand_vec, env._set_task_called = False, True, True
        env.seed(seed)
        self._camera = "corner2" if options.camera == CLOSE else options.camera
        if options.camera == CLOSE:
            env.model.camera("corner2").pos[:] = _CLOSE_POSITION
        self._model = physics.arrays(env.model)
        self.obs_space: dict[str, Space] = {
            **STANDARD_SPACES,
            "vector": Space(np.float32, (39,)),
            "success": Space(np.float32, (), 0, 1),
        }
        if options.image:
            self.obs_space["image"] = Space(np.uint8, (options.size, options.size, 3), 0, 255)
            self._renderer = self._open_renderer()
        self.act_space: dict[str, Space] = {"action": Space(np.float32, (4,), -1, 1)}

    def step(self, action: np.ndarray | None) -> Obs:
        """Holds one action for `repeat` control steps; see `Env.step`."""
        if self._over or action is None:
            self._over = False
            if self._goals:
                choice = self._env.np_random.integers(len(self._goals))
                self._env.set_task(self._goals[choice])
            vector, _ = self._env.reset()
            return self._obs(vector, 0.0, standard_obs(is_first=True))
        reward, success = 0.0, 0.0
        for _ in range(self._options.repeat):
            vector, gain, _, self._over, info = self._env.step(action)
            reward += float(gain)
            success = max(success, float(info["success"]))
            if self._over or success:
                break
        return self._obs(vector, success, standard_obs(reward, is_last=self._over))

    def _obs(self, vector: np.ndarray, success: float, obs: Obs) -> Obs:
        obs["vector"] = np.asarray(vector, np.float32)
        obs["success"] = np.asarray(success, np.float32)
        if self._options.image:
            obs["image"] = self._frame()
        return obs

    def _open_renderer(self) -> Any:
        """Returns a renderer of our own: Gymnasium's shows black once there is a second one."""
        import mujoco

        cameras = [self._env.model.camera(n).name for n in range(self._env.model.ncam)]
        if self._camera not in cameras:
            hint = nearest(self._camera, cameras)
            raise UserError(f"env.metaworld.camera {self._camera!r} is not there{hint}")
        try:
            return mujoco.Renderer(self._env.model, self._options.size, self._options.size)
        except Exception as error:  # EGL, OSMesa and MuJoCo each have errors of their own.
            raise UserError(f"{self._name}: cannot render: {error!r}; {GL_HELP}") from error

    def _frame(self) -> np.ndarray:
        self._renderer.update_scene(self._env.data, self._camera)
        frame = self._renderer.render()
        # The corner cameras hang upside down. Only rows are reversed, which leaves left and right
        # as in the images of published results.
        return frame[::-1].copy() if self._options.camera.startswith("corner") else frame

    def save(self) -> bytes:
        """Returns the simulation's state, the task's attributes, goal included, the generator."""
        env = self._env
        return states.pack(
            {
                **physics.save(env.model, env.data, self._model),
                "task": states.plain({k: v for k, v in vars(env).items() if _changes(k, v)}),
                "random": env.np_random,
                "over": self._over,
            }
        )

    def load(self, data: bytes) -> None:
        """Restores what `save` returned."""
        import mujoco

        keys = {"integration", "model", "task", "random", "over"}
        state = states.expect(states.unpack(data), keys, self._name)
        env = self._env
        env.reset()  # Makes the views into the simulation that some tasks keep.
        states.set_attributes(env, state["task"], self._name)
        states.set_rng(env.np_random, state["random"])
        for again in (True, False):  # The second time for what the computation warms up from.
            physics.load(env.model, env.data, self._model, state, self._name)
            if again:
                mujoco.mj_forward(env.model, env.data)
        self._over = bool(state["over"])

    def close(self) -> None:
        """Frees the renderer."""
        if self._renderer:
            self._renderer.close()
            self._renderer = None


def _changes(key: str, value: Any) -> bool:
    """Whether an attribute of the package's has to be saved: no constant, no view into MuJoCo."""
    view = isinstance(value, np.ndarray) and not isinstance(value.base, np.ndarray | type(None))
    return key not in _CONSTANT and not view


_CONSTANT = {"metadata", "render_mode", "camera_name", "camera_id", "width", "height", "fullpath"}
