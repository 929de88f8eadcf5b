"""Atari games through the Arcade Learning Environment, with the settings of Atari 100K."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from embodied.core import ranges
from embodied.core.env import STANDARD_SPACES, Obs, standard_obs
from embodied.core.errors import UserError, nearest, one_of
from embodied.core.space import Space
from embodied.envs._tools import state as states

# fmt: off
BENCHMARK = (
    "alien", "amidar", "assault", "asterix", "bank_heist", "battle_zone", "boxing", "breakout",
    "chopper_command", "crazy_climber", "demon_attack", "freeway", "frostbite", "gopher", "hero",
    "jamesbond", "kangaroo", "krull", "kung_fu_master", "ms_pacman", "pong", "private_eye",
    "qbert", "road_runner", "seaquest", "up_n_down",
)
# fmt: on

_CAP = 108_000  # Frames: half an hour of play.
_CAPS = {"chopper_command": 5_400}
_LIVES = ("unused", "continue", "reset")
_ACTIONS = ("minimal", "all")


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of Atari; the defaults are those of the Atari 100K benchmark.

    Args:
      size: pixels along each side of the image, resized by averaging areas.
      gray: one channel of luminance instead of RGB.
      repeat: frames for which an action is held; the image is the maximum of the last two.
      noops: most no-op frames at the start of an episode, drawn uniformly from 0 up to this.
      sticky: chance that a frame repeats the action before instead of the chosen one.
      actions: `minimal` for those that the game knows, `all` for all 18.
      lives: what a lost life does: nothing (`unused`), ends the episode while the game goes on in
        the next one (`continue`), or ends it and starts a new game (`reset`).
      length: frames after which the time limit ends an episode; 0 for the benchmark's 108,000
        (Chopper Command: 5,400).
      timeout_is_terminal: report a time limit as a terminal end, as the code of the published
        table did.
    """

    size: int = 64
    gray: bool = False
    repeat: int = 4
    noops: int = 29
    sticky: float = 0.0
    actions: str = "minimal"
    lives: str = "unused"
    length: int = 0
    timeout_is_terminal: bool = False

    def __post_init__(self) -> None:
        least = dict.fromkeys(("size", "repeat"), ranges.COUNT)
        least |= dict.fromkeys(("noops", "length"), ranges.COUNT_OR_NONE)
        ranges.check(self, least, "env.atari.")
        one_of("env.atari.actions", self.actions, _ACTIONS)
        one_of("env.atari.lives", self.lives, _LIVES)
        if not 0 <= self.sticky < 1:
            raise UserError(f"env.atari.sticky is a chance below 1, got {self.sticky}")


def tasks() -> tuple[str, ...]:
    """Returns all games that ale-py has, those of the Atari 100K benchmark first."""
    return BENCHMARK + tuple(game for game in games() if game not in BENCHMARK)


def games() -> tuple[str, ...]:
    """Returns the games whose ROMs lie in ale-py, which is not imported for it."""
    spec = importlib.util.find_spec("ale_py")
    folders = spec.submodule_search_locations if spec else None
    roms = (path for folder in folders or () for path in (Path(folder) / "roms").glob("*.bin"))
    return tuple(sorted(path.stem for path in roms)) or BENCHMARK


def time_limit(game: str, options: Options) -> int:
    """Returns the frames after which an episode of the game is cut."""
    return options.length or _CAPS.get(game, _CAP)


def rom(game: str) -> Any:
    """Returns the path of a game's ROM, with ALE's banner switched off.

    Raises:
      UserError: when ale-py or the ROM is not there.
    """
    try:
        import ale_py
        from ale_py import roms
    except ImportError as error:
        raise UserError(f"Atari needs the package ale-py: pip install ale-py ({error})") from error
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    path = roms.get_rom_path(game)
    if path is None:
        raise UserError(f"ale-py has no ROM of {game!r}{nearest(game, roms.get_all_rom_ids())}")
    return path


class Atari:
    """One Atari game.

    Args:
      game: name of the ROM, such as `ms_pacman`.
      seed: of the emulator and of the number of no-ops.
      options: see `Options`.
    """

    savable = True

    def __init__(self, game: str, seed: int, options: Options) -> None:
        path = rom(game)
        import ale_py

        self._options = options
        self._name = f"atari_{game}"
        self._rng = np.random.default_rng(seed)
        self._ale = ale_py.ALEInterface()
        self._ale.setInt("random_seed", int(self._rng.integers(2**31)))
        # Sticky actions are ours: the emulator's state leaves out the action it would repeat.
        self._ale.setFloat("repeat_action_probability", 0.0)
        self._ale.loadROM(str(path))
        every = options.actions == "all"
        self._actions = self._ale.getLegalActionSet() if every else self._ale.getMinimalActionSet()
        self._limit = time_limit(game, options)
        channels = 1 if options.gray else 3
        height, width = self._ale.getScreenDims()
        shape = (height, width) if options.gray else (height, width, channels)
        # The last frame and the one before it.
        self._frames = [np.zeros(shape, np.uint8) for _ in range(2)]
        self._grab = self._ale.getScreenGrayscale if options.gray else self._ale.getScreenRGB
        self._count = 0  # Frames of this episode after the no-ops.
        self._lives = 0
        self._held = 0  # Index of the action that a sticky frame repeats.
        self._over = True  # The next step starts an episode.
        self._playing = False  # The game has not come to its own end.
        self.repeat = options.repeat
        self.obs_space: dict[str, Space] = {
            **STANDARD_SPACES,
            "image": Space(np.uint8, (options.size, options.size, channels), 0, 255),
        }
        self.act_space: dict[str, Space] = {
            "action": Space(np.float32, (len(self._actions),), 0, 1, discrete=True)
        }

    def step(self, action: np.ndarray | None) -> Obs:
        """Holds one action for `repeat` frames; see `Env.step`."""
        if action is None:
            self._count = self._limit  # No game goes on after a lost life.
        if action is None or self._over:
            return {**standard_obs(is_first=True), "image": self._reset()}
        choice = int(np.argmax(action))
        reward, lost, grabbed = 0.0, False, 0
        for frame in range(self._options.repeat):
            if not self._options.sticky or self._rng.random() >= self._options.sticky:
                self._held = choice
            reward += self._ale.act(self._actions[self._held])
            self._count += 1
            lost = self._options.lives != "unused" and self._ale.lives() < self._lives
            self._playing = not self._ale.game_over()
            stop = not self._playing or lost or self._count >= self._limit
            if stop or frame >= self._options.repeat - 2:
                self._frames.reverse()
                self._grab(self._frames[0])
                grabbed += 1
            if stop:
                break
        self._lives = self._ale.lives()
        timeout = self._count >= self._limit
        terminal = not self._playing or lost
        self._over = terminal or timeout
        if timeout and self._options.timeout_is_terminal:
            terminal = True
        return {
            **standard_obs(reward, is_last=self._over, is_terminal=terminal),
            "image": self._render(grabbed > 1),
        }

    def _reset(self) -> np.ndarray:
        continued = self._options.lives == "continue" and self._playing
        if not continued or self._count >= self._limit:  # Else the last frame is still the screen.
            self._ale.reset_game()
            for _ in range(int(self._rng.integers(self._options.noops + 1))):
                self._ale.act(0)
                if self._ale.game_over():
                    self._ale.reset_game()
            self._count, self._held = 0, 0
            self._grab(self._frames[0])
        self._lives = self._ale.lives()
        self._over, self._playing = False, True
        return self._render(False)

    def _render(self, both: bool) -> np.ndarray:
        """Returns the last frame, or the maximum of the last two, shrunk."""
        frame = np.maximum(*self._frames) if both else self._frames[0]
        size = (self._options.size, self._options.size)
        image = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        return image[..., None] if self._options.gray else image

    def save(self) -> bytes:
        """Returns the emulator's whole state, counters and generator."""
        return states.pack(
            {
                "ale": self._ale.cloneSystemState().serialize(),
                "rng": self._rng,
                # A restored emulator shows no screen before its next frame.
                "screen": self._frames[0] if self._over and self._playing else None,
                **{key: getattr(self, f"_{key}") for key in _COUNTERS},
            }
        )

    def load(self, data: bytes) -> None:
        """Restores what `save` returned."""
        import ale_py

        keys = {"ale", "rng", "screen", *_COUNTERS}
        state = states.expect(states.unpack(data), keys, self._name)
        # A fresh emulator continues exactly only if it has played a frame before (seen in Qbert).
        self._ale.reset_game()
        self._ale.act(0)
        self._ale.restoreSystemState(ale_py.ALEState(state["ale"]))
        states.set_rng(self._rng, state["rng"])
        for key in _COUNTERS:
            setattr(self, f"_{key}", state[key])
        if state["screen"] is not None:
            self._frames[0] = states.array(state["screen"], self._frames[0])


_COUNTERS = ("count", "lives", "held", "over", "playing")


make = Atari
