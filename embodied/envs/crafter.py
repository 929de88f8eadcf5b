"""Crafter: survive and build in a small world seen from above; 22 achievements in one game."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from embodied.core import ranges
from embodied.core.env import STANDARD_SPACES, Obs, standard_obs
from embodied.core.errors import UserError
from embodied.core.space import Space
from embodied.envs._tools import state as states

PACKAGE, INSTALL = "crafter", "harmony-dreamerv3[crafter]"
PREFIX = "achievement_"  # Of the keys in episodes.jsonl.


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of Crafter; the defaults are the benchmark's.

    Args:
      size: pixels along each side of the image, at least 18.
      length: steps after which the time limit ends an episode.
    """

    size: int = 64
    length: int = 10_000

    def __post_init__(self) -> None:
        own = {"size": ranges.Range(18, 4096), "length": ranges.COUNT}
        ranges.check(self, own, "env.crafter.")


def tasks() -> tuple[str, ...]:
    """Returns the task with the benchmark's rewards, and the one without any."""
    return ("reward", "noreward")


def make(task: str, seed: int, options: Options) -> Crafter:
    """Returns the game.

    Raises:
      UserError: when the package is missing.
    """
    return Crafter(task == "reward", seed, options)


def score(episodes: Sequence[Mapping[str, Any]]) -> float:
    """Returns the Crafter score in percent of lines of episodes.jsonl with `achievement_<name>`.

    The geometric mean over achievements of the share of episodes that reached them:
    exp(mean(log(1 + s))) - 1 with s in percent (Hafner 2021, Eq. 1).
    """
    names = [key for key in episodes[0] if key.startswith(PREFIX)]
    rates = [100 * np.mean([line[name] > 0 for line in episodes]) for name in names]
    return float(np.exp(np.mean(np.log1p(rates))) - 1)


class _Ordered(dict):
    """A set that goes through its members in the order in which they came."""

    def add(self, member: Any) -> None:
        """Adds a member."""
        self[member] = None

    def remove(self, member: Any) -> None:
        """Removes a member."""
        del self[member]


class Crafter:
    """The game under the contract of `Env`.

    The keys `log_achievement_<name>` count what was achieved in this episode; no agent sees them,
    and episodes.jsonl gets them. Creatures are drawn from the package's chunks in the order in
    which they came (the package's sets have an order of their own in each process), so that equal
    seeds give equal games, and a saved game is its seed and its actions, which are played again.

    Args:
      reward: the benchmark's rewards; else all are 0.
      seed: of worlds and creatures.
      options: see `Options`.
    """

    repeat = 1
    savable = True

    def __init__(self, reward: bool, seed: int, options: Options) -> None:
        try:
            import crafter
        except ImportError as error:
            message = f"Crafter needs the package crafter: pip install '{INSTALL}' ({error})"
            raise UserError(message) from error
        size = (options.size, options.size)
        self._env = crafter.Env(size=size, reward=reward, length=options.length, seed=seed)
        world, reset = self._env._world, self._env._world.reset

        def ordered(seed: int | None = None) -> None:
            reset(seed)
            world._chunks = collections.defaultdict(_Ordered)

        world.reset = ordered
        self._names = tuple(crafter.constants.achievements)
        self._actions: list[int] = []  # Of this episode.
        self._over = True
        counts = {f"log_{PREFIX}{name}": Space(np.float32) for name in self._names}
        image = Space(np.uint8, (*size, 3), 0, 255)
        self.obs_space: dict[str, Space] = {**STANDARD_SPACES, "image": image, **counts}
        choices = len(self._env.action_names)
        self.act_space: dict[str, Space] = {
            "action": Space(np.float32, (choices,), 0, 1, discrete=True)
        }

    def step(self, action: np.ndarray | None) -> Obs:
        """Plays one step; see `Env.step`."""
        if self._over or action is None:
            self._over = False
            self._actions = []
            return self._obs(self._env.reset(), {}, standard_obs(is_first=True))
        choice = int(np.argmax(action))
        self._actions.append(choice)
        image, reward, self._over, info = self._env.step(choice)
        self._over = bool(self._over)
        flags = standard_obs(reward, False, self._over, self._over and info["discount"] == 0)
        return self._obs(image, info["achievements"], flags)

    def _obs(self, image: np.ndarray, counts: Mapping[str, int], obs: Obs) -> Obs:
        for name in self._names:
            obs[f"log_{PREFIX}{name}"] = np.asarray(counts.get(name, 0), np.float32)
        return {**obs, "image": image}

    def save(self) -> bytes:
        """Returns the number of the episode and its actions."""
        actions = np.array(self._actions, np.uint8)
        state = {"episode": self._env._episode, "actions": actions, "over": self._over}
        return states.pack(state)

    def load(self, data: bytes) -> None:
        """Plays the saved episode again, up to where it was."""
        state = states.expect(states.unpack(data), {"episode", "actions", "over"}, "crafter")
        self._env._episode, self._actions = int(state["episode"]), []
        if self._env._episode:
            self._env._episode -= 1  # A reset adds one.
            self._env.reset()
            for choice in state["actions"].tolist():
                self._env.step(choice)
                self._actions.append(choice)
        self._over = bool(state["over"])
