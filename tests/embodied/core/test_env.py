"""The keys that every observation has."""

import numpy as np
import pytest

import embodied.envs
from embodied.core.env import STANDARD_SPACES, Env, standard_obs


@pytest.mark.parametrize("flag", ["is_first", "is_last", "is_terminal"])
def test_standard_keys_fit_their_spaces(flag):
    obs = standard_obs(2, **{flag: True})
    assert obs.keys() == STANDARD_SPACES.keys()
    for key, space in STANDARD_SPACES.items():
        space.check(key, obs[key])
    assert obs["reward"] == 2 and [key for key in obs if obs[key].dtype == bool and obs[key]] == [
        flag
    ]
    assert standard_obs()["reward"] == np.float32(0)


def test_what_is_made_keeps_the_contract():
    env = embodied.envs.make("dummy_disc", 0)
    assert isinstance(env, Env)
    env.close()
    env.close()
