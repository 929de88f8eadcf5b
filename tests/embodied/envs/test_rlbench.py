"""RLBench's adapter against a stand-in with the classes and methods of its public interface."""

import sys
import types
from typing import ClassVar

import numpy as np
import pytest

import embodied.envs
from embodied.core.errors import UserError


class InvalidActionError(Exception):
    pass


class IKError(Exception):
    pass


class Position:
    def __init__(self, *place):
        self.place = place

    def get_position(self):
        return self.place

    def get_joint_position(self):
        return self.place[0]


class ReachTarget:
    def init_episode(self, index):
        self.steps = 0
        return ["reach the target"]

    def reward(self):
        return -0.5


class PushButton(ReachTarget):
    def init_episode(self, index):
        self.target_button, self.joint = Position(0.0, 3.0, 0.0), Position(0.25)
        tip = types.SimpleNamespace(get_tip=lambda: Position(0.0, 0.0, 4.0))
        self.robot = types.SimpleNamespace(arm=tip)
        return super().init_episode(index)


class Task:
    """Stands for RLBench's TaskEnvironment; what happens at which step is written in `plot`."""

    plot: ClassVar[dict] = {}

    def __init__(self, kind):
        self.task = kind()
        self.commands = []

    def look(self):
        value = self.task.steps % 256
        return types.SimpleNamespace(front_rgb=np.full((64, 64, 3), value, np.uint8))

    def reset(self):
        return self.task.init_episode(0), self.look()

    def step(self, command):
        self.commands.append(command)
        event = self.plot.get(self.task.steps)
        self.task.steps += 1
        if isinstance(event, Exception):
            raise event
        return self.look(), self.task.reward(), event == "success"


class Environment:
    last = None

    def __init__(self, action_mode, obs_config, headless, shaped_rewards):
        assert headless and shaped_rewards
        arm, gripper = action_mode
        assert arm == {"absolute_mode": False} and gripper == "discrete"
        assert obs_config.front_camera.rgb and obs_config.front_camera.image_size == (64, 64)
        self.calls = []
        Environment.last = self

    def launch(self):
        self.calls.append("launch")

    def get_task(self, kind):
        assert kind.__name__ in ("ReachTarget", "PushButton")
        self.task = Task(kind)
        return self.task

    def shutdown(self):
        self.calls.append("shutdown")


class ObservationConfig:
    def __init__(self):
        self.front_camera = types.SimpleNamespace(rgb=True, image_size=(128, 128))

    def set_all(self, value):
        self.front_camera.rgb = value


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    contents = {
        "pyrep": {},
        "pyrep.errors": {"IKError": IKError, "ConfigurationPathError": type("C", (Exception,), {})},
        "rlbench": {},
        "rlbench.backend": {},
        "rlbench.backend.exceptions": {"InvalidActionError": InvalidActionError},
        "rlbench.action_modes": {},
        "rlbench.action_modes.action_mode": {"MoveArmThenGripper": lambda arm, grip: (arm, grip)},
        "rlbench.action_modes.arm_action_modes": {"JointPosition": lambda **named: named},
        "rlbench.action_modes.gripper_action_modes": {"Discrete": lambda: "discrete"},
        "rlbench.environment": {"Environment": Environment},
        "rlbench.observation_config": {"ObservationConfig": ObservationConfig},
        "rlbench.tasks": {"ReachTarget": ReachTarget, "PushButton": PushButton},
    }
    for name, values in contents.items():
        module = types.ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)
    monkeypatch.setattr(Task, "plot", {})


ACTION = np.array([0.1, -0.2, 0.3, 0, 0, 0, 0, 0.6], np.float32)


def test_rewards_are_summed_and_the_limit_is_no_terminal_end():
    env = embodied.envs.make("rlbench_reach_target", 0, {"length": 3})
    seen = [env.step(ACTION) for _ in range(5)]
    assert [bool(obs["is_last"]) for obs in seen] == [False, False, False, True, False]
    assert not any(obs["is_terminal"] for obs in seen) and seen[4]["is_first"]
    assert [float(obs["reward"]) for obs in seen] == [0, -1, -1, -1, 0]
    assert [int(obs["image"][0, 0, 0]) for obs in seen] == [0, 2, 4, 6, 0]
    command = Environment.last.task.commands[0]
    np.testing.assert_allclose(command, [*ACTION[:7], 1.0])
    env.step(np.where(np.arange(8) == 7, 0.4, ACTION).astype(np.float32))
    assert Environment.last.task.commands[-1][7] == 0
    env.close()
    env.close()
    assert Environment.last.calls == ["launch", "shutdown"]


def test_success_ends_an_episode_within_a_repeat():
    Task.plot = {2: "success"}
    env = embodied.envs.make("rlbench_reach_target", 0)
    env.step(ACTION)
    assert env.step(ACTION)["success"] == 0
    obs = env.step(ACTION)
    assert obs["success"] == 1 and obs["is_terminal"] and obs["reward"] == -0.5
    assert env.step(ACTION)["is_first"]


@pytest.mark.parametrize("fault", [InvalidActionError("far"), IKError("no way")])
def test_an_impossible_action_ends_the_episode(fault):
    Task.plot = {3: fault}
    env = embodied.envs.make("rlbench_reach_target", 0)
    env.step(ACTION)
    before = env.step(ACTION)
    obs = env.step(ACTION)
    assert obs["is_terminal"] and obs["is_last"] and obs["reward"] == 0 and obs["success"] == 0
    np.testing.assert_array_equal(obs["image"], before["image"])


def test_the_buttons_reward():
    env = embodied.envs.make("rlbench_push_button", 0, {"repeat": 1})
    env.step(ACTION)
    task = Environment.last.task.task
    assert type(task).__name__ == "PushButton" and type(task) is not PushButton
    assert env.step(ACTION)["reward"] == -5
    task.joint = Position(0.5)
    assert env.step(ACTION)["reward"] == np.float32(-4.75)


def test_missing_packages_and_unknown_tasks(monkeypatch):
    with pytest.raises(UserError, match="did you mean 'rlbench_push_button'"):
        embodied.envs.make("rlbench_push_buton", 0)
    monkeypatch.setitem(sys.modules, "rlbench.environment", None)
    with pytest.raises(UserError, match="CoppeliaSim, PyRep and RLBench, which are installed by"):
        embodied.envs.make("rlbench_reach_target", 0)
