"""RLBench's tasks from its front camera, with shaped rewards.

CoppeliaSim, PyRep and RLBench come from no registry and are installed by hand; this adapter has
been tried against a stand-in of RLBench's public interface only.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from embodied.core import ranges
from embodied.core.env import STANDARD_SPACES, Obs, standard_obs
from embodied.core.errors import UserError
from embodied.core.space import Space

PACKAGE, INSTALL = "rlbench", "CoppeliaSim, PyRep and RLBench, by hand"
_JOINTS = 7
_TASKS = ("reach_target", "push_button")


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of RLBench.

    Args:
      size: pixels along each side of the image.
      repeat: simulator steps for which an action is held; their rewards are summed.
      length: agent steps after which the time limit ends an episode.
    """

    size: int = 64
    repeat: int = 2
    length: int = 200

    def __post_init__(self) -> None:
        sizes = dict.fromkeys(("size", "repeat", "length"), ranges.COUNT)
        ranges.check(self, sizes, "env.rlbench.")


def tasks() -> tuple[str, ...]:
    """Returns the tasks that have shaped rewards."""
    return _TASKS


def make(task: str, seed: int, options: Options) -> RLBench:
    """Returns a task; a process holds one simulator, so `run.env_process` has to be True.

    Raises:
      UserError: when the packages are missing.
    """
    try:
        import pyrep.errors
        import rlbench.backend.exceptions
        from rlbench.action_modes.action_mode import MoveArmThenGripper
        from rlbench.action_modes.arm_action_modes import JointPosition
        from rlbench.action_modes.gripper_action_modes import Discrete
        from rlbench.environment import Environment
        from rlbench.observation_config import ObservationConfig
        from rlbench.tasks import PushButton, ReachTarget
    except ImportError as error:
        raise UserError(
            "RLBench tasks need CoppeliaSim, PyRep and RLBench, which are installed by hand: "
            f"https://github.com/stepjam/RLBench ({error})"
        ) from error
    camera = ObservationConfig()
    camera.set_all(False)
    camera.front_camera.rgb = True
    camera.front_camera.image_size = (options.size, options.size)
    simulator = Environment(
        MoveArmThenGripper(JointPosition(absolute_mode=False), Discrete()),
        obs_config=camera,
        headless=True,
        shaped_rewards=True,
    )
    simulator.launch()
    kind = ReachTarget if task == "reach_target" else _shaped(PushButton)
    faults = (
        rlbench.backend.exceptions.InvalidActionError,
        pyrep.errors.IKError,
        pyrep.errors.ConfigurationPathError,
    )
    return RLBench(simulator, simulator.get_task(kind), faults, seed, options)


def _shaped(base: Any) -> Any:
    """Returns RLBench's button task with a reward: nearer is better, and so is a pressed button."""

    def init_episode(self: Any, index: int) -> Any:
        descriptions = base.init_episode(self, index)
        self.start = self.joint.get_joint_position()
        return descriptions

    def reward(self: Any) -> float:
        tip = np.asarray(self.robot.arm.get_tip().get_position())
        distance = np.linalg.norm(np.asarray(self.target_button.get_position()) - tip)
        return float(abs(self.joint.get_joint_position() - self.start) - distance)

    # The scene's file is found by the name of the class.
    return type(base.__name__, (base,), {"init_episode": init_episode, "reward": reward})


class RLBench:
    """One task: `image` of the front camera and `success` (0 or 1) of each step.

    Actions are changes of seven joint angles in radians, and the gripper, open above a half.
    Success ends an episode as a terminal state, and so does an action that the simulator cannot
    carry out, with reward 0 and the image before it.

    Args:
      simulator: RLBench's environment, launched.
      task: its task.
      faults: what an action that cannot be carried out raises.
      seed: of NumPy's global generator, from which RLBench draws.
      options: see `Options`.
    """

    savable = False

    def __init__(
        self,
        simulator: Any,
        task: Any,
        faults: tuple[type[Exception], ...],
        seed: int,
        options: Options,
    ) -> None:
        self._simulator, self._task, self._faults, self._options = simulator, task, faults, options
        np.random.seed(seed % 2**32)  # noqa: NPY002
        self._over = True
        self._count = 0
        self._image = np.zeros((options.size, options.size, 3), np.uint8)
        self.repeat = options.repeat
        self.obs_space: dict[str, Space] = {
            **STANDARD_SPACES,
            "image": Space(np.uint8, self._image.shape, 0, 255),
            "success": Space(np.float32, (), 0, 1),
        }
        self.act_space: dict[str, Space] = {"action": Space(np.float32, (_JOINTS + 1,), -1, 1)}

    def step(self, action: np.ndarray | None) -> Obs:
        """Holds one action for `repeat` steps; see `Env.step`."""
        if self._over or action is None:
            self._over, self._count = False, 0
            _, seen = self._task.reset()
            return self._obs(seen, False, standard_obs(is_first=True))
        command = np.array([*action[:_JOINTS], action[_JOINTS] > 0.5], np.float64)
        reward, seen, terminal, success = 0.0, None, False, False
        try:
            for _ in range(self._options.repeat):
                seen, gain, terminal = self._task.step(command)
                reward += float(gain)
                success = success or bool(terminal)
                if terminal:
                    break
        except self._faults:
            reward, seen, terminal, success = 0.0, None, True, False
        self._count += 1
        self._over = bool(terminal) or self._count >= self._options.length
        return self._obs(seen, success, standard_obs(reward, False, self._over, bool(terminal)))

    def _obs(self, seen: Any, success: bool, obs: Obs) -> Obs:
        if seen is not None:
            self._image = np.asarray(seen.front_rgb)
        return {**obs, "image": self._image, "success": np.asarray(success, np.float32)}

    def close(self) -> None:
        """Ends the simulator."""
        if self._simulator is not None:
            self._simulator.shutdown()
            self._simulator = None
