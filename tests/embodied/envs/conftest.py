"""Rolling environments out, and comparing what came."""

import numpy as np
import pytest

import embodied.envs


def roll(env, steps, seed=0):
    """Returns the observations of random actions drawn from a seed."""
    rng = np.random.default_rng(seed)
    space = env.act_space["action"]
    return [
        {key: value.copy() for key, value in env.step(space.sample(rng)).items()}
        for _ in range(steps)
    ]


def assert_equal(ours, theirs):
    """Compares two rollouts exactly."""
    assert len(ours) == len(theirs)
    for step, (one, two) in enumerate(zip(ours, theirs)):
        assert one.keys() == two.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], two[key], err_msg=f"{key} at step {step}")


def check_resume(task, options, before, after, seed=5):
    """Checks that a fresh environment and an old one continue exactly from a saved state."""
    env = embodied.envs.make(task, seed, options)
    assert env.savable
    roll(env, before, seed=1)
    state = env.save()
    expected = roll(env, after, seed=2)
    fresh = embodied.envs.make(task, seed, options)
    fresh.load(state)
    assert_equal(expected, roll(fresh, after, seed=2))
    env.load(state)
    assert_equal(expected, roll(env, after, seed=2))
    env.close()
    fresh.close()
    return expected


def check_seeds(task, options, steps):
    """Checks that equal seeds give equal trajectories and others do not."""
    rolls = []
    for seed in (3, 3, 4):
        env = embodied.envs.make(task, seed, options)
        rolls.append(roll(env, steps))
        env.close()
    assert_equal(rolls[0], rolls[1])
    with pytest.raises(AssertionError):
        assert_equal(rolls[0], rolls[2])


@pytest.fixture(name="roll")
def _roll():
    return roll


@pytest.fixture(name="assert_equal")
def _assert_equal():
    return assert_equal


@pytest.fixture(name="check_resume")
def _check_resume():
    return check_resume


@pytest.fixture(name="check_seeds")
def _check_seeds():
    return check_seeds
