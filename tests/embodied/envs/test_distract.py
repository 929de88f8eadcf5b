"""The distracted reaching task: what pays, what distracts, what is exposed."""

import numpy as np
import pytest

import embodied.envs
from embodied.core.errors import UserError

STAY, UP, DOWN, LEFT, RIGHT = np.eye(5, dtype=np.float32)


def towards(state, discrete):
    """Returns the action that brings the agent nearer to the goal, from the exposed state."""
    gap = state[2:] - state[:2]
    if discrete:
        if abs(gap[0]) > 1e-3:
            return DOWN if gap[0] > 0 else UP
        return RIGHT if gap[1] > 0 else LEFT
    return np.clip(gap * 100, -1, 1).astype(np.float32) * (np.abs(gap) == np.abs(gap).max())


@pytest.mark.parametrize("task", ["distract_reach", "distract_push"])
def test_walking_to_the_goal_is_paid(task):
    env = embodied.envs.make(task, 0, {"length": 1000})
    obs = env.step(None)
    rewards = 0.0
    while not obs["is_last"]:
        state = obs["state"]
        distance = np.abs(state[2:] - state[:2]).sum() * 5
        obs = env.step(towards(state, task == "distract_reach"))
        left = np.abs(state[2:] - obs["state"][:2]).sum() * 5
        assert left == pytest.approx(distance - 1, abs=1e-5)
        assert obs["reward"] == (1 if left < 1e-3 else 0)
        rewards += float(obs["reward"])
    assert not obs["is_terminal"]
    # Mean distance between distinct cells of a 6 x 6 grid is 4: some 250 arrivals in 1000 steps.
    assert 220 < rewards < 280


def test_random_play_earns_little_but_something(roll):
    env = embodied.envs.make("distract_reach", 0, {"size": 32, "mark": 3})
    rewards = [float(obs["reward"]) for obs in roll(env, 5100)]
    assert 0.2 < sum(rewards) / 100 < 1.5  # Per episode of 50 steps; 12 are possible.


def test_strength_is_what_the_rest_of_the_image_shows(roll):
    shown = {}
    for strength in (0.0, 0.5, 1.0):
        env = embodied.envs.make("distract_reach", 0, {"strength": strength})
        images = np.stack([obs["image"] for obs in roll(env, 20)]).astype(np.float64)
        marked = (images == (255, 255, 255)).all(-1) | (images == (255, 0, 0)).all(-1)
        assert marked.sum() >= 20 * 36  # Agent and goal, or one above the other.
        rest = images[~marked]
        shown[strength] = rest.mean()
        if strength:
            moving = np.abs(np.diff(images, axis=0)).mean((1, 2, 3))
            assert (moving > 2 * strength).all()
    assert shown[0.0] == 0
    assert shown[0.5] == pytest.approx(shown[1.0] / 2, rel=0.05)


def test_what_happens_does_not_depend_on_the_distraction(roll):
    rolls = [
        roll(embodied.envs.make("distract_reach", 0, {"strength": strength}), 120)
        for strength in (0.0, 1.0)
    ]
    for one, two in zip(*rolls):
        np.testing.assert_array_equal(one["state"], two["state"])
        assert one["reward"] == two["reward"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strength": 1.5}, "strength is from 0 to 1"),
        ({"grid": 40}, "must fit into the 64 pixels"),
        ({"length": 0}, "length must be at least 1"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(UserError, match=words):
        embodied.envs.make("distract_reach", 0, options)


@pytest.mark.parametrize("task", ["distract_reach", "distract_push"])
def test_seeds_and_resume(task, check_seeds, check_resume):
    check_seeds(task, {}, 60)
    for before in (0, 20, 51):
        check_resume(task, {}, before, 200)
