"""The dummy environment pays for matching what it shows."""

import numpy as np
import pytest

import embodied.envs


@pytest.mark.parametrize("task", ["dummy_disc", "dummy_cont"])
def test_knowing_the_target_earns_every_reward(task):
    env = embodied.envs.make(task, 0, {"death": 0.0, "length": 30})
    answers = np.eye(4) if task == "dummy_disc" else np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]])
    obs = env.step(None)
    rewards = []
    while not obs["is_last"]:
        target = int(np.argmax(obs["vector"]))
        half = obs["image"].shape[0] // 2
        quarters = [
            obs["image"][r : r + half, c : c + half].mean() for r in (0, half) for c in (0, half)
        ]
        assert int(np.argmax(quarters)) == target
        obs = env.step(answers[target].astype(np.float32))
        rewards.append(float(obs["reward"]))
    assert rewards == [1.0] * 30
    assert not obs["is_terminal"]


def test_ends_both_ways(roll):
    ends = [
        bool(o["is_terminal"])
        for o in roll(embodied.envs.make("dummy_disc", 0), 2000)
        if o["is_last"]
    ]
    assert True in ends and False in ends


def test_observations_by_option():
    for image in (True, False):
        env = embodied.envs.make("dummy_disc", 0, {"image": image, "vector": not image})
        assert ("image" in env.obs_space, "vector" in env.obs_space) == (image, not image)
        env.step(None)


@pytest.mark.parametrize("task", ["dummy_disc", "dummy_cont"])
def test_seeds_and_resume(task, check_seeds, check_resume):
    check_seeds(task, {}, 50)
    for before in (0, 7, 33):
        check_resume(task, {}, before, 200)
