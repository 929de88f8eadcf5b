"""Environments that raise when they are given a choice that their mask forbids."""

import gymnasium
import numpy as np

from embodied.core.env import MASK, STANDARD_SPACES, standard_obs
from embodied.core.space import Space

STEPS = {"allowed": 0, "forbidden": 0}  # Choices by what the masks said of them, in this process.


class Masked(gymnasium.Env):
    """Four choices, of which one to three are allowed; episodes of ten steps.

    Args:
      place: where the mask is: `obs` or `info`.
      seed: of the masks.
    """

    def __init__(self, place, seed):
        self.place, self.rng, self.action_space = place, None, gymnasium.spaces.Discrete(4)
        self.seed = seed
        box = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
        told = {MASK: gymnasium.spaces.MultiBinary(4)} if place == "obs" else {}
        self.observation_space = gymnasium.spaces.Dict({"vector": box, **told})

    def _results(self):
        self.mask = np.zeros(4, np.int8)
        if self.count < 10:
            self.mask[self.rng.permutation(4)[: self.rng.integers(1, 4)]] = 1
            STEPS["forbidden"] += 4 - int(self.mask.sum())
        obs = {"vector": np.zeros(2, np.float32)}
        told = {MASK: self.mask}
        return (obs | told, {}) if self.place == "obs" else (obs, told)

    def reset(self, *, seed=None, options=None):
        self.rng = np.random.default_rng(self.seed) if self.rng is None else self.rng
        self.count = 0
        return self._results()

    def step(self, action):
        if not self.mask[action]:
            raise ValueError(f"{action} is forbidden by {self.mask}")
        STEPS["allowed"] += 1
        self.count += 1
        obs, info = self._results()
        return obs, 1.0, self.count == 10, False, info


class Parts:
    """Two choices and a push in our own protocol; the second choice is forbidden in turns."""

    def __init__(self):
        choices = [Space(np.float32, (size,), 0, 1, discrete=True) for size in (3, 2)]
        push = Space(np.float32, (2,), -1, 1)
        self.act_space = {"action": Space.joined([choices[0], push, choices[1]])}
        self.obs_space = {**STANDARD_SPACES, "vector": push, MASK: Space(np.float32, (7,), 0, 1)}
        self.count = 0

    def step(self, action):
        first = self.count % 11 == 0
        if not first and action[:3].argmax() == self.count % 3:
            raise ValueError(f"{action} at {self.count}")
        if not first and action[5]:
            raise ValueError(f"{action}: the last choice has only one way")
        STEPS["allowed"] += 1
        self.count += 1
        mask = np.array([1, 1, 1, 0, 0, 0, 1], np.float32)
        mask[self.count % 3] = 0
        obs = standard_obs(is_first=first, is_last=self.count % 11 == 0)
        return {**obs, "vector": np.zeros(2, np.float32), MASK: mask}


def make(place, seed):
    return Parts() if place == "parts" else Masked(place, seed)
