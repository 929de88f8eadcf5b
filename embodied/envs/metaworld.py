"""Meta-world's manipulation tasks, from images or vectors, with success told apart."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from embodied.core.errors import UserError, nearest
from embodied.core.space import Space
from embodied.envs import gym
from embodied.envs._tools.gl import GL_HELP, default_backend


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of Meta-world.

    Args:
      image: render the observation `image`, uint8 (size, size, 3), beside the `vector` of 39.
      size: pixels along each side of the image.
      camera: name of the camera; images of those called corner are turned upright.
      repeat: control steps for which an action is held; their rewards are summed.
    """

    image: bool = True
    size: int = 64
    camera: str = "corner2"
    repeat: int = 1

    def __post_init__(self) -> None:
        for key in ("size", "repeat"):
            if getattr(self, key) < 1:
                raise UserError(f"env.metaworld.{key} must be at least 1, got {getattr(self, key)}")


def tasks() -> tuple[str, ...]:
    """Returns nothing: the names are known only to the package metaworld."""
    return ()


def make(task: str, seed: int, options: Options) -> MetaWorld:
    """Returns a task such as `lever_pull`, in the package's version 3.

    Raises:
      UserError: unknown task, missing package, or rendering that is impossible here.
    """
    default_backend(options.image)
    try:
        import gymnasium
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS
    except ImportError as error:
        raise UserError(
            f"Meta-world tasks need the package metaworld: pip install 'metaworld==3.1.1' "
            f"'mujoco<3.15' ({error})"
        ) from error
    names = {name.removesuffix("-v3").replace("-", "_"): name for name in ALL_V3_ENVIRONMENTS}
    if task not in names:
        hint = nearest(f"metaworld_{task}", (f"metaworld_{name}" for name in names))
        raise UserError(f"unknown task 'metaworld_{task}'{hint}")
    arguments: dict[str, Any] = {"env_name": names[task], "seed": seed}
    if options.image:
        arguments |= {"render_mode": "rgb_array", "camera_name": options.camera}
        arguments |= {"width": options.size, "height": options.size}
    # Its observations leave its own spaces, of which Gymnasium's checker would warn.
    env = gymnasium.make("Meta-World/MT1", disable_env_checker=True, **arguments)
    return MetaWorld(env, seed, f"metaworld_{task}", options)


class MetaWorld(gym.Gym):
    """One Meta-world task: `vector`, perhaps `image`, and `success` (0 or 1) of each step.

    Episodes are cut by the package after 500 steps; success does not end them.

    Args:
      env: a Gymnasium environment of Meta-world.
      seed: of its goals and object positions.
      name: the task, for messages.
      options: see `Options`.
    """

    def __init__(self, env: Any, seed: int, name: str, options: Options) -> None:
        settings = gym.Options(options.size, options.image, options.repeat)
        super().__init__(env, seed, name, settings, ("success",))
        self.obs_space["vector"] = Space(np.float32, self.obs_space["vector"].shape)
        self._flip = options.camera.startswith("corner")

    def _frame(self) -> np.ndarray:
        try:
            frame = super()._frame()
        except Exception as error:  # EGL, OSMesa and MuJoCo each have errors of their own.
            raise UserError(f"{self._name}: cannot render: {error!r}; {GL_HELP}") from error
        # The corner cameras hang upside down. Only rows are reversed, which leaves left and right
        # as in the images of published results.
        return frame[::-1] if self._flip else frame
