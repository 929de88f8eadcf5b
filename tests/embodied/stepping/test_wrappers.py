"""CheckedEnv stops at the first breach of the contract and names it."""

import numpy as np
import pytest

from embodied.core.env import STANDARD_SPACES, Env, standard_obs
from embodied.core.errors import UserError
from embodied.core.space import Space
from embodied.stepping.wrappers import CheckedEnv


class Scripted:
    """Returns prepared observations."""

    repeat = 1
    savable = True

    def __init__(self, *script):
        self.script = list(script)
        self.obs_space = {**STANDARD_SPACES, "x": Space(np.float32, (2,))}
        self.act_space = {"action": Space(np.float32, (2,), -1, 1)}

    def step(self, action):
        self.action = action
        return self.script.pop(0)

    def save(self):
        return str(len(self.script)).encode()

    def load(self, data):
        self.loaded = data

    def close(self):
        self.script = None


def obs(x=(0.0, 0.0), **flags):
    return {**standard_obs(**flags), "x": np.asarray(x, np.float32)}


FIRST = obs(is_first=True)
ACTION = np.zeros(2, np.float32)


def test_passes_good_episodes_through():
    script = [FIRST, obs(reward=2.0), obs(is_last=True, is_terminal=True), FIRST, obs(is_last=True)]
    env = CheckedEnv(Scripted(*script), "task")
    assert isinstance(env, Env)
    for expected in script:
        assert env.step(ACTION) is expected


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([FIRST, obs(reward=np.nan)], "'reward'.*nan"),
        ([FIRST, obs(x=(0, np.inf))], "'x'.*inf"),
        ([FIRST, obs(x=(0, 0, 0))], "'x'.*3"),
        ([FIRST, {**obs(), "y": np.zeros(())}], r"unknown keys \['y'\]"),
        ([FIRST, standard_obs()], r"lacks the keys \['x'\]"),
        ([obs()], "'is_first' must be True"),
        ([FIRST, FIRST], "'is_first' must be False"),
        ([FIRST, obs(is_last=True), obs()], "'is_first' must be True"),
        ([FIRST, obs(is_terminal=True)], "'is_terminal' without 'is_last'"),
        ([obs(is_first=True, reward=1.0)], "'reward' must be 0"),
    ],
)
def test_names_task_and_key(script, words):
    env = CheckedEnv(Scripted(*script), "task")
    for _ in script[:-1]:
        env.step(ACTION)
    with pytest.raises(UserError, match=rf"^task: .*{words}"):
        env.step(ACTION)


@pytest.mark.parametrize("action", [(0, np.nan), (0, 0, 0)])
def test_checks_the_action_except_at_a_reset(action):
    env = CheckedEnv(Scripted(FIRST, obs()), "task")
    env.step(None)
    with pytest.raises(UserError, match=r"^task: 'action'"):
        env.step(np.array(action, np.float32))


def test_clips_continuous_actions_only():
    inner = Scripted(FIRST, obs(), FIRST, obs())
    env = CheckedEnv(inner, "task")
    env.step(None)
    drawn = np.array([0.5, -2], np.float32)
    env.step(drawn)
    np.testing.assert_array_equal(inner.action, [0.5, -1])
    np.testing.assert_array_equal(drawn, [0.5, -2])
    inner.act_space = {"action": Space(np.float32, (2,), 0, 1, discrete=True)}
    env = CheckedEnv(inner, "task")
    env.step(None)
    with pytest.raises(UserError, match=r"^task: 'action'.*2\.0"):
        env.step(np.array([0, 2], np.float32))


def test_spaces_must_hold_the_standard_keys():
    inner = Scripted()
    del inner.obs_space["is_last"]
    with pytest.raises(UserError, match="is_last"):
        CheckedEnv(inner, "task")
    inner = Scripted()
    inner.act_space = {"move": Space(np.float32, (2,))}
    with pytest.raises(UserError, match="act_space"):
        CheckedEnv(inner, "task")


def test_no_observation_is_called_like_the_action():
    inner = Scripted()
    inner.obs_space["action"] = Space(np.float32, (2,))
    with pytest.raises(UserError, match=r"^task: .*'action'"):
        CheckedEnv(inner, "task")


def test_save_and_load_keep_the_place_in_the_episode():
    env = CheckedEnv(Scripted(FIRST, obs(), FIRST), "task")
    before = env.save()
    env.step(ACTION)
    within = env.save()
    env.load(before)
    assert env.unwrapped.loaded == b"3"
    with pytest.raises(UserError, match="must be True"):
        env.step(ACTION)
    env.load(within)
    with pytest.raises(UserError, match="must be False"):
        env.step(ACTION)
    with pytest.raises(UserError, match="damaged"):
        env.load(b"garbage")
    env.close()
