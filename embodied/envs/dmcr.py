"""DMC Remastered: dm_control's tasks with new looks, without downloads.

Physics, rewards and vectors are the suite's; background, floor, body and target colours,
reflectance, camera and light follow from a visual seed, as in DMC Remastered. Pictures are
generated (or read from a folder): of the original ones nobody could tell which belongs to which
seed.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import cv2
import numpy as np

from embodied.core import ranges
from embodied.core.errors import UserError, one_of
from embodied.envs import dmc
from embodied.envs._tools import looks, physics, textures
from embodied.envs._tools import state as states

PACKAGE, INSTALL = dmc.PACKAGE, dmc.INSTALL
FACTORS = ("bg", "floor", "body", "target", "reflectance", "camera", "light")
TRAIN, ALL = 900_000, 1_000_000  # Visual seeds: up to TRAIN to train, from there to ALL to test.
_DYNAMICS = 100_000
_SPLITS = {"all": (1, ALL), "train": (1, TRAIN), "test": (TRAIN + 1, ALL)}
_SIZE = 256  # Pixels along each side of a generated picture.


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of DMC Remastered.

    Args:
      image: render the observation `image`, uint8 (size, size, 3).
      vectors: give the task's own observations, float32, scalars as (1,).
      size: pixels along each side of the image.
      camera: number of the camera; -1 for the first, the one that looks vary.
      repeat: control steps for which an action is held; their rewards are summed.
      factors: what varies, any of bg, floor, body, target, reflectance, camera, light, joined by
        commas, or all.
      visual: visual seed of all episodes; 0 is the suite's look, -1 draws another each episode.
      split: visual seeds to draw from: train (1 to 900,000), test (to 1,000,000), or all.
      eval_split: the same in evaluations.
      textures: folder of images for skies (those whose path contains `sky` or `bg`, if any) and
        floors (the others); empty for generated ones.
    """

    image: bool = True
    vectors: bool = False
    size: int = 64
    camera: int = -1
    repeat: int = 2
    factors: str = "all"
    visual: int = -1
    split: str = "train"
    eval_split: str = "test"
    textures: str = ""

    def __post_init__(self) -> None:
        own = dict.fromkeys(("size", "repeat"), ranges.COUNT)
        ranges.check(self, {**own, "visual": ranges.Range(-1, ALL)}, "env.dmcr.")
        for factor in self.factors.split(","):
            one_of("env.dmcr.factors", factor, (*FACTORS, "all"))
        for key in ("split", "eval_split"):
            one_of(f"env.dmcr.{key}", getattr(self, key), tuple(_SPLITS))

    @property
    def varied(self) -> set[str]:
        """The factors that vary."""
        return set(FACTORS if self.factors == "all" else self.factors.split(","))


def installed() -> tuple[str, ...]:
    """Returns the tasks of the domains for which looks are known."""
    return tuple(task for task in dmc.installed() if task.startswith(tuple(looks.VIEWS)))


def make(task: str, seed: int, options: Options) -> DMCR:
    """Returns a task such as `walker_run`, `cheetah_run` or `cartpole_balance`."""
    domain, _ = dmc.find_task("dmcr", task, options.image)
    if domain not in looks.VIEWS:
        raise UserError(f"dmcr_{task}: looks are known of the domains {', '.join(looks.VIEWS)}")
    return DMCR(task, seed, options)


class DMCR(dmc.DMC):
    """A task of dm_control whose look follows from a visual seed.

    Every episode draws a dynamics seed (its initial state) and a visual seed. All draws of a look
    are made whichever factors vary, so that one factor leaves the others alone. The model is
    compiled once and its numbers are written over; the size of shadow maps stays 2048.

    Args:
      task: `<domain>_<task>`.
      seed: of the episodes' seeds.
      options: see `Options`.
    """

    suite = "dmcr"

    def __init__(self, task: str, seed: int, options: Options) -> None:
        self._look = options
        self._rng = np.random.default_rng(seed)
        self._visual = options.visual
        self._pools = _pools(options.textures)
        own = dmc.Options(
            options.image, options.vectors, options.size, max(options.camera, 0), options.repeat
        )
        super().__init__(task, seed, own)
        model = self._env.physics.model.ptr
        looks.static(self._domain, model)
        self._model = physics.arrays(model)
        self._stock = self._model
        self._light = {
            key: getattr(model.vis.headlight, key).copy()
            for key in ("ambient", "diffuse", "specular")
        }

    def _load(self, name: str, seed: int) -> Any:
        return dmc.load_patched(self._domain, name, seed, self._patch)

    def _patch(self, xml: Any, assets: dmc.Assets) -> tuple[Any, dmc.Assets]:
        """Puts pictures of the final size where the suite computes sky and floor."""
        if not self._look.visual:
            return xml, assets
        blank = cv2.imencode(".png", np.zeros((_SIZE, _SIZE, 3), np.uint8))[1].tobytes()
        assets = dict(assets)
        for name, kind, factor in (("skybox", "skybox", "bg"), ("grid", "2d", "floor")):
            path = "./common/skybox.xml" if name == "skybox" else "./common/materials.xml"
            if factor not in self._look.varied or path not in dmc.text_of(xml):
                continue
            texture = f'<texture name="{name}" type="{kind}" file="{name}.png"/>'
            pattern = rf'<texture name="{name}"[^>]*?/>'
            assets[path] = re.sub(pattern, texture, dmc.text_of(assets[path])).encode()
            assets[f"{name}.png"] = blank
        return xml, assets

    def _prepare(self) -> None:
        """Draws the seeds of the next episode, and dresses it."""
        dynamics = int(self._rng.integers(1, _DYNAMICS + 1))
        low, high = _SPLITS[self._look.split]
        drawn = int(self._rng.integers(low, high + 1))
        self._visual = drawn if self._look.visual < 0 else self._look.visual
        self._env.task.random.seed(dynamics)
        self._dress()

    def _dress(self) -> None:
        """Writes the look of the visual seed into the model and the renderer."""
        model = self._env.physics.model.ptr
        for key, value in self._stock.items():
            if key.startswith(("mat_", "cam_", "light_")):
                getattr(model, key)[:] = value
        for key, value in self._light.items():
            getattr(model.vis.headlight, key)[:] = value
        if not self._visual:
            return
        varied = self._look.varied
        pictures = looks.scene(model, self._visual, varied)
        looks.view(model, self._domain, self._visual, varied)
        for name, number in pictures.items():
            self._paint(name, number)

    def _paint(self, name: str, number: float) -> None:
        """Puts a picture of the pool into a texture, every face of a sky alike."""
        import mujoco

        simulation = self._env.physics
        model = simulation.model.ptr
        index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_TEXTURE, name)
        if model.tex_width[index] != _SIZE:
            return  # The suite's own: the factor does not vary, or fish, which brings its sky.
        pool = self._pools[name]
        if pool:
            image = textures.read(pool[int(number * len(pool))], _SIZE)
        elif name == "skybox":
            image = textures.sky(int(number * textures.SKIES), _SIZE)
        else:
            image = textures.floor(int(number * textures.FLOORS), _SIZE)
        start, size = model.tex_adr[index], model.tex_height[index] * _SIZE * 3
        model.tex_data[start : start + size] = np.tile(image.ravel(), size // image.size)
        if self._options.image:
            with simulation.contexts.gl.make_current() as context:
                context.call(mujoco.mjr_uploadTexture, model, simulation.contexts.mujoco.ptr, index)

    def save(self) -> bytes:
        """Returns the state of the simulation, the visual seed and the generator of seeds."""
        state = {"inner": super().save(), "visual": self._visual, "rng": self._rng}
        return states.pack(state)

    def load(self, data: bytes) -> None:
        """Restores what `save` returned."""
        state = states.expect(states.unpack(data), {"inner", "visual", "rng"}, self._name)
        states.set_rng(self._rng, state["rng"])
        self._visual = int(state["visual"])
        if self._visual >= 0:
            self._dress()
        super().load(state["inner"])


def _pools(folder: str) -> dict[str, list[Any]]:
    """Returns the image files of skies and floors; none for generated ones."""
    if not folder:
        return {"skybox": [], "grid": []}
    paths = textures.pictures(folder)
    skies = [path for path in paths if re.search("sky|bg", str(path).lower())]
    floors = [path for path in paths if path not in skies]
    return {"skybox": skies or paths, "grid": floors or paths}
