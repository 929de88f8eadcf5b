"""MinAtar: the package's own steps, padded; seeds, ends, exact resume."""

import logging

import numpy as np
import pytest

import embodied.envs
from embodied.core.errors import UserError
from embodied.envs import minatar

pytest.importorskip("minatar", exc_type=ImportError)
CHANNELS = {"asterix": 4, "breakout": 4, "freeway": 7, "seaquest": 10, "space_invaders": 6}
ACTIONS = {"asterix": 5, "breakout": 3, "freeway": 3, "seaquest": 6, "space_invaders": 4}


@pytest.mark.parametrize("game", minatar.GAMES)
def test_equals_the_package(game):
    logging.disable(logging.WARNING)  # The package warns where seaborn is missing.
    from minatar import Environment

    logging.disable(logging.NOTSET)
    plain = Environment(game)
    plain.seed(4)
    env = embodied.envs.make(f"minatar_{game}", 4, {"actions": "all"})
    assert env.obs_space["image"].shape == (16, 16, CHANNELS[game])
    assert env.act_space["action"].shape == (6,)
    rng = np.random.default_rng(0)
    over, ends = True, 0
    for _ in range(600):
        choice = int(rng.integers(6))
        obs = env.step(np.eye(6, dtype=np.float32)[choice])
        if over:
            plain.reset()
            reward, over = 0, False
        else:
            reward, over = plain.act(choice)
        assert obs["reward"] == reward and bool(obs["is_terminal"]) == bool(obs["is_last"]) == over
        np.testing.assert_array_equal(obs["image"][3:13, 3:13], plain.state() * 255)
        assert obs["image"].sum() == 255 * plain.state().sum()
        ends += over
    assert ends or game == "freeway"


@pytest.mark.parametrize("game", minatar.GAMES)
def test_seeds_and_resume(game, check_seeds, check_resume):
    assert embodied.envs.make(f"minatar_{game}", 0).act_space["action"].shape == (ACTIONS[game],)
    check_resume(f"minatar_{game}", {}, 40, 200)
    check_resume(f"minatar_{game}", {}, 0, 20)
    check_seeds(f"minatar_{game}", {}, 150)


def test_mistakes(monkeypatch):
    for options, words in (
        ({"size": 8}, "env.minatar.size must be at least 10"),
        ({"sticky": 1.0}, "env.minatar.sticky"),
        ({"actions": "al"}, "did you mean 'all'"),
    ):
        with pytest.raises(UserError, match=words):
            embodied.envs.make("minatar_breakout", 0, options)
    monkeypatch.setattr(minatar.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'harmony-dreamerv3\[minatar\]'"):
        embodied.envs.make("minatar_breakout", 0)
