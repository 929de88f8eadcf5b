"""Catch: hand-played episodes, what is drawn, how random play fares."""

import numpy as np
import pytest

import embodied.envs
from embodied.core.errors import UserError

LEFT, STAY, RIGHT = np.eye(3, dtype=np.float32)


def positions(image):
    """Returns the columns of ball and paddle of the 10 x 10 grid; None for a hidden paddle."""
    cells = image[3::6][:10, 3::6][:, :10] if image.shape[0] == 60 else None
    assert cells is not None
    ball = np.argwhere((cells == (255, 255, 255)).all(-1))
    paddle = np.argwhere((cells == (255, 128, 0)).all(-1))
    return ball[0], paddle[0][1] if len(paddle) else None


@pytest.mark.parametrize("follow", [True, False])
def test_play_by_sight(follow):
    env = embodied.envs.make("catch_easy", 0, {"size": 60})
    returns = []
    for _ in range(50):
        obs = env.step(STAY)
        for row in range(10):
            ball, paddle = positions(obs["image"])
            assert ball[0] == row
            assert obs["is_last"] == obs["is_terminal"] == (row == 9)
            if row < 9:
                assert obs["reward"] == 0
                away = LEFT if paddle > 0 and ball[1] > paddle else RIGHT
                near = STAY if ball[1] == paddle else RIGHT if ball[1] > paddle else LEFT
                obs = env.step(near if follow else away)
        returns.append(float(obs["reward"]))
        assert (paddle is None) == (returns[-1] == 1)
    if follow:
        assert returns == [1.0] * 50  # Every ball can be reached: 9 steps, at most 9 columns.
    else:
        assert set(returns) <= {1.0, -1.0} and np.mean(returns) < -0.5


@pytest.mark.parametrize("task", ["catch_easy", "catch_hard"])
def test_random_play_loses(task, roll):
    env = embodied.envs.make(task, 0, {"size": 32})
    rewards = [float(obs["reward"]) for obs in roll(env, 10_000) if obs["is_last"]]
    assert len(rewards) > 300
    # Ball and paddle are nearly independent: caught about once in as many tries as columns.
    assert -0.95 < np.mean(rewards) < -0.7


def test_geometry():
    env = embodied.envs.make("catch_easy", 0, {"columns": 4, "rows": 6, "size": 24})
    image = env.step(STAY)["image"]
    assert image.shape == (24, 24, 3)
    assert (image == 255).all(-1).sum() == (24 // 4) * (24 // 6)  # One cell: the ball.
    for options, words in (
        ({"columns": 12}, "must not exceed the rows"),
        ({"rows": 100}, "env.catch.rows must be from 2"),
        ({"columns": 1}, "env.catch.columns must be from 2"),
    ):
        with pytest.raises(UserError, match=words):
            embodied.envs.make("catch_easy", 0, options)


def test_seeds_and_resume(check_seeds, check_resume):
    check_seeds("catch_easy", {}, 50)
    for before in (0, 4, 10, 35):
        check_resume("catch_easy", {"size": 20}, before, 200)
