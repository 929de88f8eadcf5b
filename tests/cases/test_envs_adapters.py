"""Kinds of faults that foreign environments have: each is named, or taken for what it means."""

import re
import sys
import textwrap
from pathlib import Path
from typing import ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import embodied.envs
from embodied.core.env import STANDARD_SPACES, standard_obs
from embodied.core.errors import EnvError, UserError
from embodied.core.space import Space
from embodied.envs.gym import Gym, Options
from embodied.stepping.wrappers import CheckedEnv

BOX = spaces.Box(-1, 1, (3,), np.float32)
PHOTO = spaces.Box(0, 255, (64, 64, 3), np.uint8)
GOOD = np.zeros(3, np.float32)
GRID = spaces.Box(0, 10, (7, 7, 3), np.uint8)


class Fake(gymnasium.Env):
    """Returns what it is given, whatever its spaces say."""

    def __init__(self, space, look, action=None, step=None):
        self.observation_space, self.look = space, look
        self.action_space = action or spaces.Discrete(3)
        self.result = step
        self.actions = []

    def reset(self, *, seed=None, options=None):
        return self.look, {}

    def step(self, action):
        self.actions.append(action)
        return self.result or (self.look, 1.0, False, False, {})


def wrap(space, look=GOOD, action=None, step=None, **options):
    return CheckedEnv(Gym(Fake(space, look, action, step), 0, "fake", Options(**options)), "fake")


def first(env):
    return env.act_space["action"].sample(np.random.default_rng(0))


# Values are checked before they are cast.


def _id(value: object) -> str:
    """A name that is the same in every process, which an address in memory is not."""
    return str(value).split(" at 0x")[0]


@pytest.mark.parametrize(
    ("space", "look", "words"),
    [
        (PHOTO, np.full((64, 64, 3), 0.5), "image: its space is uint8, got floats such as 0.5"),
        (PHOTO, np.full((64, 64, 3), 300), r"image: expected pixels in \[0, 255\], got 300"),
        (PHOTO, np.full((64, 64, 3), -1), r"image: expected pixels in \[0, 255\], got -1"),
        (PHOTO, np.full((64, 64, 3), np.nan), "image: its space is uint8, got floats such as nan"),
        (PHOTO, np.zeros((32, 32, 3), np.uint8), r"image: .*\(64, 64, 3\), got uint8 of shape"),
        (spaces.Box(0, 1, (64, 64, 3)), np.full((64, 64, 3), 2.0), r"pixels in \[0, 1\], got 2"),
        (spaces.Box(0, 1, (64, 64, 3)), np.full((64, 64, 3), np.nan), "got nan"),
        (spaces.Discrete(3), 3, r"vector: 3 is not in Discrete\(3\)"),
        (spaces.Discrete(3), -1, "vector: -1 is not in"),
        (spaces.Discrete(3), 0.5, "vector: 0.5 is not in"),
        (spaces.MultiDiscrete([2, 3]), np.array([1, 3]), "is not in MultiDiscrete"),
        (spaces.Dict(a=BOX, b=BOX), {"a": GOOD}, r"lacks the key 'b' of its space, got \['a'\]"),
        (spaces.Dict(a=BOX), GOOD, "lacks the key 'a' of its space, got ndarray"),
        (BOX, {"vector": GOOD}, "lacks the key '' of its space"),
        (BOX, [[0.0, 1.0], [2.0]], r"vector: expected numbers of shape \(3,\), got \[\[0.0"),
        (BOX, None, r"vector: expected numbers of shape \(3,\), got None"),
        (BOX, "left", "vector: expected numbers of shape .*got 'left'"),
        (BOX, np.zeros(4), "vector: expected numbers of shape"),
        (BOX, (x for x in range(3)), "vector: expected numbers of shape .*got <generator"),
        (BOX, np.array([1, 2, 3], object), "vector: expected numbers of shape"),
        (BOX, [1.5, 0, 0], r"'vector' is outside .* in \[-1, 1\], got the value 1.5"),
        (BOX, [np.inf, 0, 0], "'vector' is outside .* got the value inf"),
        (GRID, np.full((7, 7, 3), 12), r"'vector' is outside .* in \[0, 10\], got the value 12"),
        (GRID, np.full((7, 7, 3), 0.5), "vector: its space is uint8, got floats such as 0.5"),
        (spaces.MultiBinary(2), [0.5, 1], "vector: its space is int8, got floats such as 0.5"),
        (spaces.Discrete(3, start=5), 0, r"vector: 0 is not in Discrete\(3, start=5\)"),
        (spaces.Dict(a=spaces.Dict(b=BOX)), {"a": None}, "lacks the key 'a/b' of its space"),
    ],
    ids=_id,
)
def test_a_wrong_observation_names_task_key_value_and_place(space, look, words):
    env = wrap(space, look)
    with pytest.raises(UserError, match=rf"^fake: .*{words}") as caught:
        env.step(None)
    assert f"from Fake.reset ({__file__}, line " in str(caught.value)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint16, np.uint8])
def test_whole_numbers_of_other_widths_are_pixels(dtype):
    assert (wrap(PHOTO, np.full((64, 64, 3), 200, dtype)).step(None)["image"] == 200).all()


def test_float_images_are_read_as_the_same_floats():
    look = np.random.default_rng(0).random((80, 100, 3)).astype(np.float32)
    for size, shape in ((64, (64, 64, 3)), (0, (80, 100, 3))):
        env = wrap(spaces.Box(0, 1, (80, 100, 3)), look, size=size)
        image = env.step(None)["image"]
        assert image.dtype == np.uint8 and image.shape == shape
        assert abs(image.mean() / 255 - look.mean()) < 1e-3
    np.testing.assert_allclose(image / 255, look, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize(("high", "value"), [(1, 0.5), (255, 127.5), (1, 1.0), (255, 3.2)])
def test_float_images_of_ones_own_are_divided_once(high, value):
    class Own:
        obs_space: ClassVar = {**STANDARD_SPACES, "image": Space(np.float32, (8, 8, 3), 0, high)}
        act_space: ClassVar = {"action": Space(np.float32, (2,), -1, 1)}

        def step(self, action):
            return {**standard_obs(is_first=True), "image": np.full((8, 8, 3), value, np.float32)}

    env = CheckedEnv(Own(), "own")
    image = env.step(None)["image"]
    assert image.dtype == np.uint8
    env.obs_space["image"].check("image", image)
    assert abs(image[0, 0, 0] / 255 - value / high) <= 0.5 / 255 + 1e-6
    Own.obs_space = {**Own.obs_space, "image": Space(np.float32, (8, 8, 3), -1, 1)}
    with pytest.raises(UserError, match="own: 'image' has the shape of an image and is float32"):
        CheckedEnv(Own(), "own")


def test_a_grid_of_classes_is_a_vector_unless_asked():
    grid = np.arange(147, dtype=np.uint8).reshape(7, 7, 3) % 11
    for high in (10, 255):  # MiniGrid says 255.
        space = spaces.Box(0, high, (7, 7, 3), np.uint8)
        np.testing.assert_array_equal(wrap(space, grid).step(None)["vector"], grid.ravel())
    space = spaces.Box(0, 10, (7, 7, 3), np.uint8)
    image = wrap(space, grid, keys={"image": "image"}).step(None)["image"]
    assert image.shape == (64, 64, 3)
    # No class appears between two, and the greatest is as bright as can be.
    assert set(np.unique(image)) == {25 * value for value in range(11)}


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((64, 64, 6), "a stack of frames"),
        ((4, 84, 84, 3), "a stack of frames"),
        ((4, 84, 84), "an image with its channels first"),
        ((20, 20, 3), "an image or a grid of classes"),
        ((3, 20, 20), "an image with its channels first"),
    ],
)
def test_stacks_of_frames_are_asked_about(shape, words):
    space = spaces.Box(0, 255, shape, np.uint8)
    look = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with pytest.raises(UserError, match=rf"fake: image: uint8 of shape .*looks like {words}"):
        wrap(space, look)
    channels = int(np.prod(shape)) // int(np.prod(sorted(shape)[-2:]))
    image = wrap(space, look, keys={"image": "image"}, size=0).step(None)["image"]
    assert image.shape[2] == channels and min(image.shape[:2]) >= 20
    assert sorted(image.ravel()) == sorted(look.ravel())
    small = wrap(space, look, keys={"image": "image"}, size=32).step(None)["image"]
    assert small.shape == (32, 32, channels)
    if max(shape) < 64:
        assert wrap(space, look, keys={"vector": "vector"}).step(None)["vector"].shape == (
            look.size,
        )


@pytest.mark.parametrize(
    ("low", "high", "shape", "dtype", "words"),
    [
        (0, 255, (64, 64, 3), np.float32, "an image of other numbers"),
        (0, 255, (64, 64, 3), np.int32, "an image of other numbers"),
        (-1, 1, (64, 64, 3), np.float32, "an image of other numbers"),
        (-np.inf, np.inf, (3, 96, 96), np.float64, "an image of other numbers"),
        (0, 65535, (48, 64, 1), np.uint16, "an image of other numbers"),
        (0, 1, (84, 84), np.float32, "an image or a matrix"),
        (0, 255, (16, 25), np.uint8, "an image or a grid of classes"),
    ],
)
def test_numbers_that_may_be_pixels_are_asked_about(low, high, shape, dtype, words):
    space = spaces.Box(low, high, shape, dtype)
    look = np.full(shape, 1, dtype)
    with pytest.raises(UserError, match=rf"fake: image: .* looks like {words}.*'\{{image: vector"):
        wrap(space, look)
    assert wrap(space, look, keys={"image": "vector"}).step(None)["vector"].shape == (look.size,)
    if low == 0 and high in (1, 255):
        image = wrap(space, look, keys={"image": "image"}).step(None)["image"]
        assert image.shape[:2] == (64, 64) and (image == (255 if high == 1 else 1)).all()


def test_keys_are_left_out():
    space = spaces.Dict(mission=spaces.Text(20), x=BOX)
    with pytest.raises(UserError, match=r"mission: .*env.gym.keys '\{mission: ignore\}'"):
        wrap(space)
    env = wrap(space, {"mission": "go", "x": GOOD}, keys={"mission": "ignore"})
    assert "mission" not in env.step(None) and "x" in env.obs_space
    with pytest.raises(UserError, match=r"env.gym.keys: there is no key 'misson'"):
        wrap(space, keys={"misson": "ignore"})
    with pytest.raises(UserError, match=r"keys.x must be one of.*did you mean 'image'"):
        Options(keys={"x": "imgae"})
    for blind in (spaces.Dict(), space):
        with pytest.raises(UserError, match=r"fake: nothing is to be seen; --env.gym.render True"):
            wrap(blind, keys={} if not blind.spaces else {"mission": "ignore", "x": "ignore"})


# Sizes that a space decides.


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (spaces.Discrete(1_000_000), "one-hot vector of 1,000,000 numbers"),
        (spaces.Discrete(50_000), "one-hot vector of 50,000 numbers"),
        (spaces.MultiDiscrete([4000, 4000]), "one-hot vector of 8,000 numbers"),
        (spaces.Discrete(2**40), "one-hot vector of 1,099,511,627,776"),
        (spaces.MultiDiscrete([2**62] * 3), "one-hot vector of 13,835,058,055,282,163,712"),
        (spaces.MultiBinary(2**21), "a vector of 2,097,152 numbers"),
        (spaces.Box(0, 1, (0,)), "a vector of 0 numbers, expected 1 to"),
        (spaces.Box(-1, 1, (3, 0)), "a vector of 0 numbers"),
    ],
    ids=_id,
)
def test_a_size_is_refused_before_it_is_allocated(space, words):
    with pytest.raises(UserError, match=f"fake: vector: .*{words}"):
        wrap(space)


def test_a_large_index_as_a_number():
    env = wrap(spaces.Discrete(1_000_000), 7, keys={"vector": "vector"})
    assert env.step(None)["vector"].tolist() == [7]


# Results that are not Gymnasium's.


@pytest.mark.parametrize(
    "reward", [2.0, 2, np.float64(2), np.ones(1) * 2, np.full((1, 1), 2), True]
)
def test_rewards_of_one_number(reward):
    env = wrap(BOX, step=(GOOD, reward, False, np.array([False]), {}))
    env.step(None)
    assert env.step(first(env))["reward"] == float(np.ravel(reward)[0])


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ((GOOD, np.zeros(2), False, False, {}), "reward: expected a number"),
        ((GOOD, None, False, False, {}), "reward: expected a number, got None"),
        ((GOOD, "1", False, False, {}), "reward: expected a number, got '1'"),
        ((GOOD, np.nan, False, False, {}), "'reward' is outside"),
        ((GOOD, 1.0, np.array([True, False]), False, {}), "terminated: expected a number"),
        ((GOOD, 1.0, False, None, {}), "truncated: expected a number, got None"),
        ((GOOD, 1.0, np.nan, False, {}), "terminated: expected True or False, got nan"),
        ((GOOD, 1.0, False, 2, {}), "truncated: expected True or False, got 2"),
        ((GOOD, 1.0, False, {}), "expected step.*Gymnasium does, got 4 values"),
        (GOOD, "expected step.*Gymnasium does, got ndarray"),
    ],
)
def test_wrong_results_of_a_step(step, words):
    env = wrap(BOX)
    env.step(None)
    env.unwrapped._env.step = lambda action: step
    with pytest.raises(UserError, match=f"^fake: {words}"):
        env.step(first(env))


def test_the_old_interface_behind_a_time_limit():
    class Old(Fake):
        def step(self, action):
            return self.look, 1.0, False, {}

        def reset(self):
            return self.look

    old = gymnasium.wrappers.TimeLimit(Old(BOX, GOOD), 5)
    env = CheckedEnv(Gym(old, 0, "fake", Options()), "fake")
    with pytest.raises(UserError, match=r"fake: expected reset\(seed=None\) to return .*Old.reset"):
        env.step(None)


class Odd(BaseException):
    """Not even an `Exception`, and its text fails."""

    def __str__(self):
        raise ValueError("no text")


@pytest.mark.parametrize(
    "kind", [ValueError, SystemExit, KeyError, MemoryError, AssertionError, GeneratorExit, Odd]
)
def test_what_an_environment_raises_names_its_own_line(kind):
    def fail(*args, **kwargs):
        raise kind("broken")  # THE LINE

    line = next(
        n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "THE LINE" in text
    )
    env = wrap(BOX)
    env.step(None)
    for call in ("step", "reset", "close"):
        setattr(env.unwrapped._env, call, fail)
        place = rf"fake: {call}\(\) raised {kind.__name__}: .*"
        place += rf"{__file__}, line {line}, in fail"
        if call == "close":
            with pytest.warns(RuntimeWarning, match=place):
                env.close()
            continue
        env._over = env.unwrapped._over = call == "reset"
        with pytest.raises(EnvError, match=place):
            env.step(first(env))


@pytest.mark.parametrize(
    "error",
    [RuntimeError("no\nlicence"), SystemExit(3), OSError(2, "gone"), GeneratorExit(), Odd()],
)
def test_a_constructor_that_raises_is_an_accident(error):
    def make(**settings):
        raise error

    gymnasium.register("Case-v0", entry_point=make)
    with pytest.raises(EnvError, match=rf"cannot make gym_Case-v0: .*{__file__}, line"):
        embodied.envs.make("gym_Case-v0", 0)
    gymnasium.registry.pop("Case-v0")


def test_arguments_that_lack_name_the_constructor_and_the_flag():
    class Levels(Fake):
        def __init__(self, level, render_mode=None):
            super().__init__(BOX, GOOD)

    line = Levels.__init__.__code__.co_firstlineno
    gymnasium.register("Case-v0", entry_point=Levels)
    try:
        with pytest.raises(
            UserError, match=rf"argument: 'level'.* \({__file__}, line {line}\); give"
        ):
            embodied.envs.make("gym_Case-v0", 0)
        env = embodied.envs.make("gym_Case-v0", 0, {"kwargs": {"level": 3}})
        assert env.step(None)["is_first"]
    finally:
        gymnasium.registry.pop("Case-v0")


def test_a_mistake_in_a_constructor_names_its_own_line():
    def make(**settings):
        return len(3)  # THE OTHER LINE

    gymnasium.register("Case-v0", entry_point=make)
    line = make.__code__.co_firstlineno + 1
    with pytest.raises(UserError, match=rf"TypeError: .*{__file__}, line {line}, in make"):
        embodied.envs.make("gym_Case-v0", 0)
    gymnasium.registry.pop("Case-v0")


@pytest.mark.parametrize(
    "look", [None, np.zeros((8, 8)), np.zeros((8, 8, 4), np.uint8), np.zeros((0, 0, 3), np.uint8)]
)
@pytest.mark.parametrize("size", [0, 64])
def test_what_is_rendered_is_an_image_or_names_the_method(look, size):
    class Drawn(Fake):
        def render(self):
            return look

    with pytest.raises(
        UserError, match=r"^fake: render\(\): expected an image .*from Drawn.render"
    ):
        CheckedEnv(Gym(Drawn(BOX, GOOD), 0, "fake", Options(size, render=True)), "fake").step(None)


# A hair outside a Box is warned of once; more is an error.


@pytest.mark.parametrize(("value", "fine"), [(1.000001, True), (-1.0002, True), (1.1, False)])
def test_values_outside_their_box(value, fine):
    look = np.array([0, value, 0], np.float32)
    env = wrap(BOX, look, step=(look, 0.0, False, False, {}))
    if not fine:
        with pytest.raises(UserError, match="fake: 'vector' is outside its space"):
            env.step(None)
        return
    with pytest.warns(RuntimeWarning, match=rf"fake: 'vector' is outside .*{str(value)[:6]}"):
        np.testing.assert_array_equal(env.step(None)["vector"], look)
    env.step(first(env))  # Warnings are errors here: there is no second one.


# Actions of several parts.


@pytest.mark.parametrize(
    ("space", "sizes", "expected"),
    [
        (spaces.MultiDiscrete([3, 2]), [3, 2], np.array([2, 1])),
        (spaces.MultiDiscrete([3, 2], start=[1, 5]), [3, 2], np.array([3, 6])),
        (spaces.MultiBinary(2), [2, 2], np.array([1, 1], np.int8)),
        (spaces.Box(2, 4, (2,), np.int32), [3, 3], np.array([4, 4], np.int32)),
        (spaces.Tuple([spaces.Discrete(3), BOX]), [3, -3], (2, np.ones(3, np.float32))),
        (
            spaces.Dict(a=spaces.Dict(c=BOX), b=spaces.Discrete(2)),
            [-3, 2],
            {"a": {"c": np.ones(3, np.float32)}, "b": 1},
        ),
    ],
    ids=_id,
)
def test_actions_of_several_parts(space, sizes, expected):
    env = wrap(BOX, action=space)
    ours = env.act_space["action"]
    assert [part.shape[0] * (1 if part.discrete else -1) for part in ours.parts] == sizes
    env.step(None)
    last = [np.eye(size)[-1] if size > 0 else np.full(-size, 7.0) for size in sizes]
    env.step(np.concatenate(last).astype(np.float32))
    action = env.unwrapped._env.actions[-1]
    assert space.contains(action) and repr(action) == repr(expected)
    rng = np.random.default_rng(0)
    for _ in range(20):
        env.step(ours.sample(rng))
        assert space.contains(env.unwrapped._env.actions[-1])
    wrong = np.concatenate(last).astype(np.float32)
    wrong[: abs(sizes[0])] = 0.5 if sizes[0] > 0 else np.nan
    with pytest.raises(UserError, match="fake: 'action' is outside its space"):
        env.step(wrong)


@pytest.mark.parametrize(
    "space",
    [spaces.Box(-np.inf, np.inf, (2,)), spaces.Box(0, 2**31 - 1, (2,), np.int64), spaces.Text(3),
     spaces.Dict(a=spaces.Text(3)), spaces.Box(-1, 1, (0,))],
    ids=_id,
)  # fmt: skip
def test_action_spaces_that_fit_nothing(space):
    with pytest.raises(UserError, match="fake: expected an action space of Discrete or"):
        wrap(BOX, action=space)


# Arguments and names.


def test_keyword_arguments_reach_the_environment():
    class Level(Fake):
        def __init__(self, level, render_mode=None):
            super().__init__(spaces.Discrete(9), level)

    gymnasium.register("Case-v0", entry_point=Level)
    with pytest.raises(UserError, match=r"argument: 'level'.*--env.gym.kwargs '\{name: value") as e:
        embodied.envs.make("gym_Case-v0", 0)
    assert "did you mean" not in str(e.value)
    env = embodied.envs.make("gym_Case-v0", 0, {"kwargs": {"level": 4}})
    assert env.step(None)["vector"][4] == 1
    gymnasium.registry.pop("Case-v0")


@pytest.mark.parametrize(
    ("task", "word"),
    [
        ("gym_Pong-v5", "atari_pong"),
        ("PongNoFrameskip-v4", "atari_pong"),
        ("MontezumaRevengeDeterministic-v4", "atari_montezuma_revenge"),
        ("ALE/UpNDown-v5", "atari_up_n_down"),
        ("atari100k_pong", "atari_pong"),
        ("atari57_montezuma_revenge", "atari_montezuma_revenge"),
        ("Blackjack-v1", "gym_Blackjack-v1"),
        ("atari_ms-pacman", "atari_ms_pacman"),
        ("Qbert-ramNoFrameskip-v4", "atari_qbert"),
        ("CartPole-v1", "gym_CartPole-v1"),
        ("HalfCheetah-v5", "gym_HalfCheetah-v5"),
        ("walker_walk", "dmc_walker_walk"),
        ("cheetah-run", "dmc_cheetah_run"),
        ("dm_control/finger-spin-v0", "dmc_finger_spin"),
        ("cup_catch", "dmc_ball_in_cup_catch"),
        ("lever-pull-v2", "metaworld_lever_pull"),
        ("MinAtar/SpaceInvaders-v1", "minatar_space_invaders"),
        ("CrafterNoReward-v1", "crafter_noreward"),
        ("MiniGrid-Empty-5x5-v0", "gym_minigrid:MiniGrid-Empty-5x5-v0"),
    ],
)
def test_names_of_elsewhere(task, word):
    with pytest.raises(UserError) as caught:
        embodied.envs.make(task, 0)
    assert f"did you mean '{word}'?" in str(caught.value)


@pytest.mark.parametrize("game", ["montezuma_revenge", "pitfall", "space_invaders", "tennis"])
def test_games_outside_the_benchmark(game):
    assert f"atari_{game}" in embodied.envs.tasks("atari")
    env = embodied.envs.make(f"atari_{game}", 0)
    assert env.step(None)["image"].shape == (64, 64, 3)


def test_frames_of_an_environment_that_skips_some():
    assert embodied.envs.make("gym_ALE/Pong-v5", 0).repeat == 4
    assert embodied.envs.make("gym_ALE/Pong-v5", 0, {"repeat": 2}).repeat == 8
    settings = {"kwargs": {"frameskip": 1}}
    assert embodied.envs.make("gym_ALE/Pong-v5", 0, settings).repeat == 1
    with pytest.raises(UserError, match=r"random number of frames .*frameskip: 4"):
        embodied.envs.make("gym_ALE/Pong-v5", 0, {"kwargs": {"frameskip": (2, 5)}})


def test_mujoco_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio", None)
    for name in [each for each in sys.modules if each.startswith("gymnasium.envs.mujoco")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UserError, match=r"pip install 'harmony-dreamerv3\[mujoco\]'"):
        embodied.envs.make("gym_HalfCheetah-v5", 0)


# A stranger's environment by path.

MODULE = """
import gymnasium
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv

from embodied.core.env import STANDARD_SPACES, standard_obs
from embodied.core.space import Space

SIZE = 3

class Ours:
    def __init__(self, level, seed):
        self.obs_space = {**STANDARD_SPACES, "x": Space(np.float32, (1,))}
        self.act_space = {"action": Space(np.float32, (2,), -1, 1)}
        self.value, self.first = int(level) + seed, True

    def step(self, action):
        first, self.first = self.first, False
        return {**standard_obs(is_first=first), "x": np.float32([self.value])}

def make(level="", seed=0, gravity=9.8):
    env = CartPoleEnv()
    env.gravity, env.level, env.seed = gravity, level, seed
    return gymnasium.wrappers.TimeLimit(env, 7)

def plain():
    return CartPoleEnv()

def nothing():
    return None

def broken():
    raise RuntimeError("no licence")
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "my_pkg").mkdir()
    (tmp_path / "my_pkg" / "my_mod.py").write_text(textwrap.dedent(MODULE))
    (tmp_path / "my_pkg" / "bad.py").write_text("import gymnasium\nraise ValueError('at import')\n")
    (tmp_path / "my_pkg" / "needs.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [each for each in sys.modules if each.startswith("my_pkg")]:
        del sys.modules[name]


def test_the_ten_lines_of_the_docs(tmp_path, monkeypatch):
    text = Path(__file__).parents[2].joinpath("docs", "custom_env.md").read_text()
    code = re.search(r"```python\n# my_pkg/my_mod.py.*?\n(.*?)```", text, re.S)[1]
    (tmp_path / "docs_mod.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    env = embodied.envs.make("docs_mod:make/long", 0, {"kwargs": {"gravity": 1.6}})
    assert env.step(None)["vector"].shape == (4,)
    assert env.unwrapped._env.unwrapped.gravity == 1.6


def test_an_environment_by_path(package):
    env = embodied.envs.make("my_pkg.my_mod:make/level1", 3, {"kwargs": {"gravity": 1.0}})
    inner = env.unwrapped._env.unwrapped
    assert (inner.level, inner.gravity, inner.seed) == ("level1", 1.0, 3)
    seen = [env.step(np.eye(2, dtype=np.float32)[step % 2]) for step in range(8)]
    assert seen[-1]["is_last"] and seen[0]["vector"].shape == (4,)
    assert embodied.envs.make("my_pkg.my_mod:plain", 3).step(None)["vector"].shape == (4,)
    ours = embodied.envs.make("my_pkg.my_mod:Ours/2", 5)
    assert ours.step(None)["x"] == 7 and ours.save() is None and not ours.savable
    assert ours.step(np.zeros(2, np.float32))["x"] == 7 and ours.repeat == 1
    ours.close()


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("my_pkg.my_mod:mak", "my_mod has no 'mak'; did you mean 'make'?"),
        ("my_pkg.my_mdo:make", "there is no module 'my_pkg.my_mdo'; install its package, or put"),
        ("no_pkg.my_mod:make/1", "there is no module 'no_pkg'"),
        ("my_pkg.bad:make", "importing my_pkg.bad raised ValueError: at import"),
        ("my_pkg.needs:make", "importing my_pkg.needs raised ModuleNotFoundError: No module named"),
        ("my_pkg.my_mod:SIZE", "my_mod:SIZE is 3, expected a function or class"),
        ("my_pkg.my_mod:Ours", "missing a required argument: 'level'"),
        ("my_pkg.my_mod:plain/level1", "too many positional arguments"),
        ("my_pkg.my_mod:nothing", "returned NoneType, which lacks observation_space"),
        ("my_pkg.my_mod:broken", "cannot make my_pkg.my_mod:broken: RuntimeError: no licence"),
        ("my-pkg:make", "expected a path 'package.module:name', got 'my-pkg:make'"),
        ("my_pkg.my_mod:", "expected a path 'package.module:name'"),
        (":make", "expected a path 'package.module:name'"),
    ],
)
def test_a_bad_path_is_named(task, words, package):
    with pytest.raises(UserError) as caught:
        embodied.envs.make(task, 0)
    assert words in str(caught.value)
