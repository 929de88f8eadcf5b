"""MinAtar: five Atari games made small, 10 by 10 cells with a channel for each kind of object."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from embodied.core import ranges
from embodied.core.env import STANDARD_SPACES, Obs, standard_obs
from embodied.core.errors import UserError, one_of
from embodied.core.space import Space
from embodied.envs._tools import state as states

PACKAGE, INSTALL = "minatar", "harmony-dreamerv3[minatar]"
GAMES = ("asterix", "breakout", "freeway", "seaquest", "space_invaders")
_ACTIONS = ("minimal", "all")
_CELLS = 10


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of MinAtar; sticky actions and ramping are those of its paper.

    Args:
      size: cells along each side of the image, at least 10; the game lies in the middle of zeros.
      sticky: chance that a step repeats the action before instead of the chosen one.
      ramping: let the game become harder as it goes on, where it can.
      actions: `minimal` for those that the game knows, `all` for all 6.
    """

    size: int = 16
    sticky: float = 0.1
    ramping: bool = True
    actions: str = "minimal"

    def __post_init__(self) -> None:
        own = {"size": ranges.Range(_CELLS, 1024), "sticky": ranges.SHARE_BELOW_ONE}
        ranges.check(self, own, "env.minatar.")
        one_of("env.minatar.actions", self.actions, _ACTIONS)


def tasks() -> tuple[str, ...]:
    """Returns the games."""
    return GAMES


def _load(game: str) -> Any:
    """Returns the module of a game, without the package's own, which imports plotting."""
    spec = importlib.util.find_spec("minatar")
    if spec is None or spec.origin is None:
        raise UserError(f"minatar_{game} needs the package minatar: pip install '{INSTALL}'")
    path = Path(spec.origin).parent / "environments" / f"{game}.py"
    own = importlib.util.spec_from_file_location(f"minatar_{game}", path)
    assert own and own.loader
    module = importlib.util.module_from_spec(own)
    own.loader.exec_module(module)
    return module


class MinAtar:
    """One game of MinAtar: `image`, uint8 (size, size, channels), 255 where an object is.

    Its steps are those of the package's `Environment` with the same seed. Games end by themselves.

    Args:
      game: such as `breakout`.
      seed: of everything random.
      options: see `Options`.
    """

    repeat = 1
    savable = True

    def __init__(self, game: str, seed: int, options: Options) -> None:
        self._name = f"minatar_{game}"
        self._options = options
        self._game = _load(game).Env(ramping=options.ramping)
        self._rng = np.random.RandomState(seed % 2**32)
        self._game.random = self._rng  # One generator for both, as in the package.
        self._actions = list(range(6))
        if options.actions == "minimal":
            self._actions = self._game.minimal_action_set()
        self._last = 0  # What a sticky step repeats; goes on across episodes, as in the package.
        self._over = True
        channels = self._game.state_shape()[2]
        self.obs_space: dict[str, Space] = {
            **STANDARD_SPACES,
            "image": Space(np.uint8, (options.size, options.size, channels), 0, 255),
        }
        self.act_space: dict[str, Space] = {
            "action": Space(np.float32, (len(self._actions),), 0, 1, discrete=True)
        }

    def step(self, action: np.ndarray | None) -> Obs:
        """Plays one frame; see `Env.step`."""
        if self._over or action is None:
            self._over = False
            self._game.reset()
            return {**standard_obs(is_first=True), "image": self._image()}
        choice = self._actions[int(np.argmax(action))]
        if self._rng.rand() < self._options.sticky:
            choice = self._last
        self._last = choice
        reward, self._over = self._game.act(choice)
        return {**standard_obs(reward, False, self._over, self._over), "image": self._image()}

    def _image(self) -> np.ndarray:
        image = np.zeros(self.obs_space["image"].shape, np.uint8)
        edge = (self._options.size - _CELLS) // 2
        image[edge : edge + _CELLS, edge : edge + _CELLS] = self._game.state() * np.uint8(255)
        return image

    def save(self) -> bytes:
        """Returns the game's attributes, the generator and what a sticky step repeats."""
        game = states.plain(vars(self._game))
        return states.pack({"game": game, "rng": self._rng, "last": self._last, "over": self._over})

    def load(self, data: bytes) -> None:
        """Restores what `save` returned."""
        state = states.expect(states.unpack(data), {"game", "rng", "last", "over"}, self._name)
        states.set_attributes(self._game, state["game"], self._name)
        self._rng.set_state(state["rng"])
        self._last, self._over = state["last"], state["over"]


make = MinAtar
