"""dm_control's tasks before moving backgrounds: videos from a folder, or generated scenes."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from embodied.core import ranges
from embodied.core.env import Obs
from embodied.core.errors import UserError, one_of
from embodied.core.space import Space
from embodied.envs import dmc
from embodied.envs._tools import state as states
from embodied.envs._tools import textures

PACKAGE, INSTALL, installed = dmc.PACKAGE, dmc.INSTALL, dmc.installed
_FILMS = (".mp4", ".avi", ".gif", ".mkv", ".mov", ".webm")
_GENERATED = 8  # Scenes of each split.
_SPLITS = ("train", "test", "all")
# Domains whose floor stays: it is grey there.
_GREY = ("cheetah", "walker", "hopper")


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of natural backgrounds.

    Args:
      vectors: give the task's own observations, float32, scalars as (1,), beside the image.
      size: pixels along each side of the image.
      repeat: control steps for which an action is held; their rewards are summed.
      videos: folder of videos (mp4, avi, gif, ...), or of folders `train` and `test` of them; empty
        for generated scenes, which are not the published Kinetics videos.
      split: which videos to show: train, test, or all. Without folders of these names every
        fifth video, in the order of names, is for test.
      eval_split: the same in evaluations.
      gray: one value for three channels, as in HarmonyDream; else colours, as in DreamerPro.
      frames: so many frames are read, from videos in random order, and then shown in a circle.
    """

    vectors: bool = False
    size: int = 64
    repeat: int = 2
    videos: str = ""
    split: str = "train"
    eval_split: str = "test"
    gray: bool = True
    frames: int = 1000

    def __post_init__(self) -> None:
        own = {"size": ranges.COUNT, "repeat": ranges.COUNT, "frames": ranges.Range(1, 100_000)}
        ranges.check(self, own, "env.natural.")
        for key in ("split", "eval_split"):
            one_of(f"env.natural.{key}", getattr(self, key), _SPLITS)


def note(options: Options) -> str:
    """Returns what a run says of its background at the start."""
    if options.videos:
        return f"backgrounds: videos of {options.videos}"
    return "backgrounds: generated scenes, not the videos of published results"


def clips(options: Options) -> list[Any]:
    """Returns the videos of the options' split: paths, or numbers of generated scenes.

    Raises:
      UserError: when a folder is given and has none.
    """
    split = options.split
    if not options.videos:
        names = ("train", "test") if split == "all" else (split,)
        return [(name, index) for name in names for index in range(_GENERATED)]
    root = Path(options.videos).expanduser()
    own = root / split
    folder = own if split != "all" and own.is_dir() else root
    films = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _FILMS)
    if folder is root and split != "all":
        films = [film for n, film in enumerate(films) if (n % 5 == 4) == (split == "test")]
    if not films:
        raise UserError(
            f"env.natural.videos: no video ({', '.join(_FILMS)}) of the split {split!r} in {root}"
        )
    return films


def frames_of(clip: Any, size: int) -> Iterator[np.ndarray]:
    """Yields the frames of a video or scene, uint8 (size, size, 3).

    Raises:
      UserError: when a file cannot be read.
    """
    if isinstance(clip, tuple):
        yield from _scene(*clip, size=size)
        return
    capture = cv2.VideoCapture(str(clip))
    good, frame = capture.read()
    if not good:
        raise UserError(f"{clip} cannot be read as a video")
    while good:  # The whole picture, whatever its aspect.
        small = cv2.resize(frame, (size, size), interpolation=cv2.INTER_LINEAR)
        yield small[..., ::-1]
        good, frame = capture.read()
    capture.release()


_scene = functools.lru_cache(2 * _GENERATED)(textures.scene)  # Environments share them.


def load_frames(options: Options, rng: np.random.Generator) -> np.ndarray:
    """Returns the frames that one environment shows, uint8 (frames, size, size, 1 or 3)."""
    pool = clips(options)
    frames: list[np.ndarray] = []
    while len(frames) < options.frames:
        for place in rng.permutation(len(pool)):
            for frame in frames_of(pool[place], options.size):
                if options.gray:
                    frame = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)[..., None]
                frames.append(frame)
                if len(frames) == options.frames:
                    return np.stack(frames)
    return np.stack(frames)


class Natural(dmc.DMC):
    """A task of dm_control with a film where its picture is blue.

    Sky and floor are painted in blues first (cheetah, walker and hopper keep a grey floor); after
    rendering, every pixel with more blue than red and than green takes the film's. The film goes on
    by a frame each agent step and each reset, around its frames, whatever the episodes do.

    Args:
      task: `<domain>_<task>`.
      seed: of initial states and of the film.
      options: see `Options`.
    """

    suite = "natural"

    def __init__(self, task: str, seed: int, options: Options) -> None:
        dmc.find_task("natural", task, True)
        rng = np.random.default_rng([seed, 0])
        self._film = load_frames(options, rng)
        self._clock = int(rng.integers(len(self._film)))
        own = dmc.Options(True, options.vectors, options.size, -1, options.repeat)
        super().__init__(task, seed, own)
        # For the records, so that nobody takes generated scenes for the published videos.
        self._generated = np.float32(not options.videos)
        self.obs_space["log_generated_background"] = Space(np.float32)

    def _load(self, name: str, seed: int) -> Any:
        return dmc.load_patched(self._domain, name, seed, self._patch)

    def _patch(self, xml: Any, assets: dmc.Assets) -> tuple[Any, dmc.Assets]:
        """Paints sky and floor in the colours that the mask replaces."""
        grey = self._domain in _GREY
        dark, light, mark = (
            (".1 .1 .1", ".2 .2 .2", ".2 .2 .2") if grey else (".1 .1 .4", ".2 .2 .8", ".1 .1 .4")
        )
        floor = (
            f'<texture name="grid" type="2d" builtin="checker" rgb1="{dark}" rgb2="{light}" '
            f'width="300" height="300" mark="edge" markrgb="{mark}"/>'
        )
        assets, path, sky = dict(assets), "./common/materials.xml", "./common/skybox.xml"
        text = dmc.text_of(assets[path])
        text = re.sub(r'<texture name="grid"[^>]*?/>', floor, text)
        if not grey:
            text = re.sub(r'(<material name="decoration" rgba=)"[^"]*"', r'\1".7 .5 .3 1"', text)
        assets[path] = text.encode()
        assets[sky] = (
            dmc.text_of(assets[sky]).replace('markrgb="1 1 1"', 'markrgb="0 0 0"').encode()
        )
        return xml, assets

    def _obs(self, vectors: Any, obs: Obs) -> Obs:
        obs = super()._obs(vectors, obs)
        self._clock = (self._clock + 1) % len(self._film)
        obs["log_generated_background"] = np.asarray(self._generated)
        obs["image"] = blend(obs["image"], self._film[self._clock])
        return obs

    def save(self) -> bytes:
        """Returns the state of the simulation and the film's clock; films come from the seed."""
        return states.pack({"inner": super().save(), "clock": self._clock})

    def load(self, data: bytes) -> None:
        """Restores what `save` returned."""
        state = states.expect(states.unpack(data), {"inner", "clock"}, self._name)
        self._clock = int(state["clock"])
        super().load(state["inner"])


def blend(image: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Returns an image (H, W, 3) whose pixels with most blue, strictly, are those of a frame."""
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    mask = (blue > green) & (blue > red)
    return np.where(mask[..., None], frame, image)


make = Natural
