"""dm_control's suite: vectors, rendered images, or both."""

from __future__ import annotations

import dataclasses
import importlib
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from embodied.core import ranges
from embodied.core.env import STANDARD_SPACES, Obs, standard_obs
from embodied.core.errors import UserError, nearest
from embodied.core.space import Space
from embodied.envs._tools import physics
from embodied.envs._tools import state as states
from embodied.envs._tools.gl import GL_HELP, default_backend

_patching = threading.Lock()
Assets = dict[str, Any]
PACKAGE, INSTALL = "dm_control", "harmony-dreamerv3[dmc]"
_CAMERAS = {"quadruped": 2}  # Domains whose first camera does not follow the body.


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of dm_control.

    Args:
      image: render the observation `image`, uint8 (size, size, 3).
      vectors: give the task's own observations, float32, scalars as (1,).
      size: pixels along each side of the image.
      camera: number of the camera; -1 for the domain's usual one.
      repeat: control steps for which an action is held; their rewards are summed.
    """

    image: bool = True
    vectors: bool = True
    size: int = 64
    camera: int = -1
    repeat: int = 2

    def __post_init__(self) -> None:
        if not (self.image or self.vectors):
            raise UserError("env.dmc.image and env.dmc.vectors are both off: nothing to observe")
        ranges.check(self, dict.fromkeys(("size", "repeat"), ranges.COUNT), "env.dmc.")


def installed() -> tuple[str, ...]:
    """Returns the tasks that dm_control has."""
    return tuple("_".join(name) for name in load_suite(False).ALL_TASKS)


def load_suite(render: bool) -> Any:
    """Imports dm_control's suite with a rendering backend that works without a display.

    Raises:
      UserError: when dm_control is not installed, or images are wanted and cannot be rendered.
    """
    if not hasattr(np, "in1d"):  # dm_control 1.0.28 calls it; NumPy 2.4 has only its successor.
        vars(np)["in1d"] = np.isin
    default_backend(render)
    try:
        return importlib.import_module("dm_control.suite")
    except ModuleNotFoundError as error:
        raise UserError(
            f"dm_control tasks need the extra [dmc]: pip install '{INSTALL}' ({error})"
        ) from error


def find_task(prefix: str, task: str, render: bool) -> tuple[str, str]:
    """Returns domain and name of a task such as `walker_walk`; `prefix` goes before it in messages.

    Raises:
      UserError: for an unknown task, and as `load_suite` does.
    """
    names = {"_".join(name): name for name in load_suite(render).ALL_TASKS}
    if task not in names:
        hint = nearest(f"{prefix}_{task}", (f"{prefix}_{name}" for name in names))
        raise UserError(f"unknown task '{prefix}_{task}'{hint}")
    return names[task]


def load_patched(
    domain: str, task: str, seed: int, patch: Callable[[Any, Assets], tuple[Any, Assets]]
) -> Any:
    """Returns a task of the suite whose model was changed before it was compiled.

    Args:
      domain: such as `walker`.
      task: such as `walk`.
      seed: of the task's initial states.
      patch: from XML and assets to those that are compiled.
    """
    suite = load_suite(False)
    module: Any = importlib.import_module(f"dm_control.suite.{domain}")
    original = getattr(module, "get_model_and_assets", None)
    if original is None:
        raise UserError(f"the model of the domain {domain} cannot be changed before it is compiled")
    with _patching:  # The task's constructor finds the function in its module.
        module.get_model_and_assets = lambda *values, **named: patch(*original(*values, **named))
        try:
            return suite.load(domain, task, task_kwargs={"random": seed})
        finally:
            module.get_model_and_assets = original


def text_of(asset: Any) -> str:
    """Returns a model's file as text."""
    return asset.decode() if isinstance(asset, bytes) else str(asset)


class DMC:
    """One task of the dm_control suite, with actions rescaled to [-1, 1].

    Args:
      task: `<domain>_<task>`.
      seed: of the task's initial states.
      options: see `Options`.

    Raises:
      UserError: unknown task, missing package, or rendering that is impossible here.
    """

    savable = True
    suite = "dmc"

    def __init__(self, task: str, seed: int, options: Options) -> None:
        self._domain, name = find_task(self.suite, task, options.image)
        self._name = f"{self.suite}_{task}"
        self._options = options
        self._camera = options.camera if options.camera >= 0 else _CAMERAS.get(self._domain, 0)
        self._env = self._load(name, seed)
        cameras = self._env.physics.model.ncam
        if options.image and self._camera >= cameras:
            raise UserError(f"env.dmc.camera {self._camera}: {self._name} has {cameras} cameras")
        self._model = physics.arrays(self._env.physics.model.ptr)  # As it was before any episode.
        self._over = True
        self.repeat = options.repeat
        self.obs_space: dict[str, Space] = dict(STANDARD_SPACES)
        if options.image:
            self.obs_space["image"] = Space(np.uint8, (options.size, options.size, 3), 0, 255)
        if options.vectors:
            for key, spec in self._env.observation_spec().items():
                self.obs_space[key] = Space(np.float32, spec.shape or (1,))
        spec = self._env.action_spec()
        # Actuators without limits (the domain lqr) take the action as it is.
        limited = spec.maximum < 1e9
        self._low = np.where(limited, spec.minimum, -1.0)
        self._high = np.where(limited, spec.maximum, 1.0)
        self.act_space: dict[str, Space] = {"action": Space(np.float32, spec.shape, -1, 1)}
        if options.image:
            self._render()  # Fails here, at the start, rather than in the first step.

    def step(self, action: np.ndarray | None) -> Obs:
        """Holds one action for `repeat` control steps; see `Env.step`."""
        if self._over or action is None:
            self._over = False
            self._prepare()
            found = self._env.reset()
            return self._obs(found.observation, standard_obs(is_first=True))
        wanted = self._low + (np.asarray(action, np.float64) + 1) / 2 * (self._high - self._low)
        reward = 0.0
        for _ in range(self._options.repeat):
            found = self._env.step(wanted)
            reward += float(found.reward or 0.0)
            if found.last():
                break
        self._over = found.last()
        terminal = self._over and found.discount == 0  # A time limit keeps its discount of 1.
        flags = standard_obs(reward, is_last=self._over, is_terminal=terminal)
        return self._obs(found.observation, flags)

    def _load(self, name: str, seed: int) -> Any:
        """Returns the task; other suites change its model."""
        return load_suite(False).load(self._domain, name, task_kwargs={"random": seed})

    def _prepare(self) -> None:
        """Is called before every episode."""

    def _obs(self, vectors: Any, obs: Obs) -> Obs:
        if self._options.vectors:
            for key, value in vectors.items():
                obs[key] = np.asarray(value, np.float32).reshape(self.obs_space[key].shape)
        if self._options.image:
            obs["image"] = self._render()
        return obs

    def _render(self) -> np.ndarray:
        size = self._options.size
        try:
            return self._env.physics.render(size, size, camera_id=self._camera)
        except Exception as error:  # EGL, OSMesa and MuJoCo each have errors of their own.
            raise UserError(
                f"{self._name}: cannot render with MUJOCO_GL={os.environ.get('MUJOCO_GL')}: "
                f"{error!r}; {GL_HELP}, or observe vectors only (env.dmc.image False)"
            ) from error

    def save(self) -> bytes:
        """Returns the simulation's state, what the task remembers, its generator, counters."""
        simulation, task = self._env.physics, self._env.task
        return states.pack(
            {
                **physics.save(simulation.model.ptr, simulation.data.ptr, self._model),
                "random": task.random,
                "task": states.plain(vars(task)),
                "count": self._env._step_count,
                "reset": self._env._reset_next_step,
                "over": self._over,
            }
        )

    def load(self, data: bytes) -> None:
        """Restores what `save` returned."""
        import mujoco

        keys = {"integration", "model", "random", "task", "count", "reset", "over"}
        state = states.expect(states.unpack(data), keys, self._name)
        simulation, task = self._env.physics, self._env.task
        model = simulation.model.ptr
        physics.load(model, simulation.data.ptr, self._model, state, self._name)
        # What depends on positions and velocities, as dm_control leaves it after every step.
        mujoco.mj_step1(model, simulation.data.ptr)
        task.random.set_state(state["random"])
        states.set_attributes(task, state["task"], self._name)
        self._env._step_count = state["count"]
        self._env._reset_next_step = state["reset"]
        self._over = state["over"]
        if self._options.image and model.nhfield:
            with simulation.contexts.gl.make_current() as context:
                upload = mujoco.mjr_uploadHField
                context.call(upload, model, simulation.contexts.mujoco.ptr, 0)

    def close(self) -> None:
        """Frees the rendering context."""
        self._env.close()


make = DMC
