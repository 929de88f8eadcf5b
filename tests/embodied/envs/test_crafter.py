"""Crafter: seeds repeat in every process, games resume exactly, achievements reach the records."""

import functools
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import embodied.envs
from embodied.core.errors import UserError
from embodied.envs import crafter
from embodied.stepping.driver import Driver
from embodied.stepping.groups import Local

pytest.importorskip("crafter")
pytestmark = pytest.mark.filterwarnings("default")  # Its image library warns as it likes.


def digest(seed, steps):
    env = embodied.envs.make("crafter_reward", seed)
    rng = np.random.default_rng(0)
    total = hashlib.sha256()
    for _ in range(steps):
        obs = env.step(env.act_space["action"].sample(rng))
        total.update(obs["image"].tobytes() + obs["reward"].tobytes())
    return total.hexdigest()


def test_seeds_repeat_in_every_process():
    code = "import test_crafter; print(test_crafter.digest(3, 300))"
    folder = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {folder!r}); {code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == digest(3, 300) != digest(4, 300)


def test_resume_is_exact(check_resume):
    check_resume("crafter_reward", {"length": 60}, 40, 60)


def test_time_limit(roll):
    seen = roll(embodied.envs.make("crafter_noreward", 0, {"length": 30}), 32)
    assert [bool(obs["is_last"]) for obs in seen] == [False] * 30 + [True, False]
    assert not seen[30]["is_terminal"] and not any(obs["reward"] for obs in seen)


def test_achievements_of_an_episode():
    make = functools.partial(embodied.envs.make, "crafter_reward", 0, {"length": 60})
    driver = Driver([[Local([make])]])
    rng = np.random.default_rng(0)
    active = np.ones((1, 1), bool)
    driver.reset(active)
    total = 0.0
    for _ in range(60):
        stepped = driver.step(driver.act_space.sample(rng)[None, None], active)
        total += float(driver.obs["reward"][0, 0])
    [episode] = stepped.episodes
    assert not stepped.errors and len(episode.logs) == 22
    gained = sum(count > 0 for count in episode.logs.values())
    assert gained >= 1 and abs(episode.total - gained) < 1.0
    assert abs(episode.total - total) < 1e-4


def test_score():
    lines = [{"achievement_a": 2, "achievement_b": 0}, {"achievement_a": 0, "achievement_b": 0}]
    assert np.isclose(crafter.score(lines), np.sqrt(51) - 1)
    assert np.isclose(crafter.score(lines[:1]), np.sqrt(101) - 1)
    assert crafter.score([{"achievement_a": 0}]) == 0


def test_mistakes(monkeypatch):
    with pytest.raises(UserError, match=r"env.crafter.length must be at least 1"):
        crafter.Options(length=0)
    monkeypatch.setitem(sys.modules, "crafter", None)
    with pytest.raises(UserError, match=r"pip install 'harmony-dreamerv3\[crafter\]'"):
        embodied.envs.make("crafter_reward", 0)
