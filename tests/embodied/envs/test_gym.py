"""Gymnasium environments: spaces, ends, actions, images, exact resume where it is possible."""

import copy

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import embodied.envs
from embodied.core.errors import UserError
from embodied.envs.gym import Gym, Options
from embodied.stepping.wrappers import CheckedEnv


class Made(gymnasium.Env):
    """Plays prepared steps; observes whatever its space holds."""

    def __init__(self, obs, action, steps=()):
        self.observation_space = copy.deepcopy(obs)
        self.action_space = action
        self.steps = list(steps)
        self.actions = []
        self.observation_space.seed(0)

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def step(self, action):
        self.actions.append(action)
        return (self.observation_space.sample(), *self.steps.pop(0), {"note": 1})


def wrap(obs, action=None, steps=(), **options):
    made = Made(obs, action or spaces.Discrete(2), steps)
    return CheckedEnv(Gym(made, 0, "made", Options(**options)), "made"), made


VECTOR = spaces.Box(-1, 1, (3,))


@pytest.mark.parametrize(
    ("space", "keys"),
    [
        (spaces.Box(-np.inf, np.inf, (3,), np.float64), {"vector": (np.float32, (3,))}),
        (spaces.Box(-1, 1, (2, 3)), {"vector": (np.float32, (6,))}),
        (spaces.Box(0, 255, (80, 100, 3), np.uint8), {"image": (np.uint8, (64, 64, 3))}),
        (spaces.Box(0, 255, (80, 100), np.uint8), {"image": (np.uint8, (64, 64, 1))}),
        (spaces.Box(0, 255, (128,), np.uint8), {"vector": (np.float32, (128,))}),
        (spaces.Discrete(5, start=2), {"vector": (np.float32, (5,))}),
        (spaces.MultiDiscrete([3, 4]), {"vector": (np.float32, (7,))}),
        (spaces.MultiBinary(4), {"vector": (np.float32, (4,))}),
        (
            spaces.Dict(
                {
                    "camera": spaces.Box(0, 255, (40, 32, 3), np.uint8),
                    "arm": spaces.Dict({"angle": spaces.Box(-3, 3, (), np.float64)}),
                }
            ),
            {"camera": (np.uint8, (64, 64, 3)), "arm/angle": (np.float32, (1,))},
        ),
    ],
    ids=str,
)
def test_observation_spaces(space, keys):
    env, _ = wrap(space, steps=[(0.0, False, False)] * 5)
    found = {k: s for k, s in env.obs_space.items() if not k.startswith(("is_", "reward"))}
    assert {k: (s.dtype, s.shape) for k, s in found.items()} == keys
    for _ in range(6):  # CheckedEnv compares every observation with its space.
        env.step(np.array([0, 1], np.float32))


def test_one_hot_observations():
    env, made = wrap(spaces.MultiDiscrete([2, 3]))
    made.observation_space.sample = lambda: np.array([1, 0])
    assert env.step(None)["vector"].tolist() == [0, 1, 1, 0, 0]
    env, made = wrap(spaces.Discrete(3, start=-1))
    made.observation_space.sample = lambda: 1
    assert env.step(None)["vector"].tolist() == [0, 0, 1]


@pytest.mark.parametrize(("terminated", "truncated"), [(True, False), (False, True), (True, True)])
def test_terminated_and_truncated_stay_apart(terminated, truncated):
    env, _ = wrap(VECTOR, steps=[(1.5, False, False), (-2.0, terminated, truncated)])
    action = np.array([0, 1], np.float32)
    seen = [env.step(action) for _ in range(4)]
    assert [bool(obs["is_first"]) for obs in seen] == [True, False, False, True]
    assert [bool(obs["is_last"]) for obs in seen] == [False, False, True, False]
    assert [bool(obs["is_terminal"]) for obs in seen] == [False, False, terminated, False]
    assert [float(obs["reward"]) for obs in seen] == [0.0, 1.5, -2.0, 0.0]


def test_repeat_sums_rewards_and_stops_at_the_end():
    env, made = wrap(VECTOR, steps=[(1.0, False, False)] * 3 + [(4.0, True, False)], repeat=3)
    action = np.array([1, 0], np.float32)
    env.step(action)
    assert env.step(action)["reward"] == 3
    last = env.step(action)
    assert last["reward"] == 4 and last["is_terminal"]
    assert made.actions == [0, 0, 0, 0] and env.repeat == 3


def test_actions():
    box = spaces.Box(np.array([-2, 0], np.float32), np.array([2, 10], np.float32))
    env, made = wrap(VECTOR, box, [(0.0, False, False)] * 3)
    for action in ((0, 0), (-1, 1), (-1, -1), (1, 0.5)):
        env.step(np.array(action, np.float32))
    assert [action.tolist() for action in made.actions] == [[-2, 10], [-2, 0], [2, 7.5]]
    env, made = wrap(VECTOR, spaces.Discrete(3, start=5), [(0.0, False, False)])
    env.step(None)
    env.step(np.array([0, 0, 1], np.float32))
    assert made.actions == [7]


@pytest.mark.parametrize(
    ("obs", "action", "words"),
    [
        (VECTOR, spaces.Text(3), "expected an action space of Discrete or"),
        (VECTOR, spaces.Discrete(10**6), "1,000,000 actions are too many"),
        (VECTOR, spaces.Box(-np.inf, np.inf, (2,)), "expected an action space of Discrete or"),
        (spaces.Text(3), None, "expected an observation of Box"),
        (spaces.Dict({"reward": VECTOR}), None, "'reward', which is taken"),
        (spaces.Dict({"action": VECTOR}), None, "'action', which is taken"),
        (spaces.Dict({"a/b": VECTOR, "a": spaces.Dict({"b": VECTOR})}), None, "'a/b' twice"),
        (
            spaces.Dict({"c": spaces.Dict({"a/b": VECTOR, "a": spaces.Dict({"b": VECTOR})})}),
            None,
            "'a/b' twice",
        ),
        (
            spaces.Box(0, 255, (3, 84, 84), np.uint8),
            None,
            "image: .*channels first.*env.gym.keys '{image: image}'",
        ),
        (
            spaces.Dict({"x": spaces.Box(0, 255, (1, 16, 20), np.uint8)}),
            None,
            "x: .*channels first",
        ),
    ],
)
def test_spaces_that_fit_no_agent(obs, action, words):
    with pytest.raises(UserError, match=f"made.*{words}"):
        wrap(obs, action)


def test_a_value_outside_its_space_is_named():
    env, made = wrap(VECTOR)
    made.observation_space.sample = lambda: np.array([0, 0, 1.5])
    with pytest.raises(UserError, match=r"made: 'vector'.*1.5 at \(2,\)"):
        env.step(None)


@pytest.mark.parametrize(
    "task", ["CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCarContinuous-v0"]
)
def test_classic_control_resumes_exactly(task, check_resume, check_seeds):
    for before in (0, 25):
        check_resume(f"gym_{task}", {}, before, 250)
    check_seeds(f"gym_{task}", {}, 30)


def test_cartpole_equals_gymnasium(roll):
    env = embodied.envs.make("gym_CartPole-v1", 9)
    plain = gymnasium.make("CartPole-v1")
    obs, _ = plain.reset(seed=9)
    np.testing.assert_array_equal(env.step(None)["vector"], obs)
    for step in range(200):
        action = step // 3 % 2
        obs, reward, terminated, truncated, _ = plain.step(action)
        ours = env.step(np.eye(2, dtype=np.float32)[action])
        np.testing.assert_array_equal(ours["vector"], obs)
        assert ours["reward"] == reward and ours["is_terminal"] == terminated
        if terminated or truncated:
            obs, _ = plain.reset()
            np.testing.assert_array_equal(env.step(None)["vector"], obs)


def test_an_id_with_a_slash(roll):
    env = embodied.envs.make("gym_ALE/Pong-v5", 0)
    assert env.obs_space["image"].shape == (64, 64, 3)
    assert env.act_space["action"].shape == (6,)
    images = [obs["image"] for obs in roll(env, 60)]
    assert any((image != images[0]).any() for image in images)
    assert not env.savable and env.save() is None
    env.close()


def test_what_cannot_be_saved_says_so():
    env, _ = wrap(VECTOR)
    assert not env.savable and env.save() is None


def test_an_environment_of_another_package(tmp_path, monkeypatch):
    (tmp_path / "other_package.py").write_text(
        "import gymnasium\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "class Mine(CartPoleEnv): pass\n"
        "gymnasium.register('Mine-v0', Mine, max_episode_steps=7)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    env = embodied.envs.make("gym_other_package:Mine-v0", 0)
    for step in range(8):
        obs = env.step(np.eye(2, dtype=np.float32)[step % 2])
    assert obs["is_last"] and not obs["is_terminal"]
    # Its code is unknown to us, so that no exact state is claimed.
    assert not env.savable
    gymnasium.registry.pop("Mine-v0")


class Painter(Made):
    def render(self):
        return np.full((20, 30, 3), 9, np.uint8)


def test_rendered_images_beside_the_vector():
    made = Painter(VECTOR, spaces.Discrete(2))
    for size, shape in ((16, (16, 16, 3)), (0, (20, 30, 3))):
        env = CheckedEnv(Gym(made, 0, "made", Options(size=size, render=True)), "made")
        obs = env.step(None)
        assert obs["image"].shape == shape and (obs["image"] == 9).all()
        assert obs["vector"].shape == (3,)


def test_a_missing_renderer_is_named(monkeypatch):
    def broken(self):
        raise gymnasium.error.DependencyNotInstalled("pygame is not installed")

    monkeypatch.setattr(Painter, "render", broken)
    env = Gym(Painter(VECTOR, spaces.Discrete(2)), 0, "made", Options(render=True))
    with pytest.raises(UserError, match="made: cannot render: pygame is not installed"):
        env.step(None)


def test_an_entry_point_that_raises_is_named() -> None:
    def broken(**settings: object) -> None:
        raise RuntimeError("no licence")

    gymnasium.register("Broken-v0", entry_point=broken)
    with pytest.raises(UserError, match="cannot make gym_Broken-v0: RuntimeError: no licence"):
        embodied.envs.make("gym_Broken-v0", 0)


MASK = np.array([0, 1, 1], np.int8)


def test_a_mask_in_info():
    made = Made(VECTOR, spaces.Discrete(3), [(0.0, False, False), (0.0, True, False)])
    made.reset = lambda **_: (made.observation_space.sample(), {"action_mask": MASK})
    env = CheckedEnv(Gym(made, 0, "made", Options()), "made")
    assert env.obs_space["action_mask"].shape == (3,)
    assert "action_mask" not in Gym(made, 0, "m", Options(keys={"action_mask": "ignore"})).obs_space
    np.testing.assert_array_equal(env.step(None)["action_mask"], MASK)
    with pytest.raises(UserError, match="made: its info lacks 'action_mask', which that of reset"):
        env.step(np.eye(3, dtype=np.float32)[0])
    last = env.step(np.eye(3, dtype=np.float32)[0])  # At the end it may be left out.
    np.testing.assert_array_equal(last["action_mask"], np.ones(3))


def test_a_mask_in_the_observation():
    space = spaces.Dict({"x": VECTOR, "action_mask": spaces.Box(0, 1, (3,), np.int8)})
    env, made = wrap(space, spaces.Discrete(3))
    made.reset = lambda **_: ({"x": np.zeros(3), "action_mask": MASK}, {})
    np.testing.assert_array_equal(env.step(None)["action_mask"], MASK)
    # Where nothing can be chosen, or as asked, it is an observation as any other.
    assert wrap(space, VECTOR)[0].obs_space["action_mask"].shape == (3,)
    env, _ = wrap(space, spaces.Discrete(2), keys={"action_mask": "ignore"})
    assert "action_mask" not in env.obs_space
    with pytest.raises(UserError, match="must have the dtype and shape of the action"):
        wrap(space, spaces.Discrete(2), keys={"action_mask": "vector"})
