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
from embodied.core.errors import UserError, nearest
from embodied.envs import dmc
from embodied.envs._tools import physics, textures
from embodied.envs._tools import state as states

PACKAGE, INSTALL = dmc.PACKAGE, dmc.INSTALL
FACTORS = ("bg", "floor", "body", "target", "reflectance", "camera", "light")
TRAIN, ALL = 900_000, 1_000_000  # Visual seeds: up to TRAIN to train, from there to ALL to test.
_DYNAMICS = 100_000
_SPLITS = {"all": (1, ALL), "train": (1, TRAIN), "test": (TRAIN + 1, ALL)}
_SIZE = 256  # Pixels along each side of a generated picture.

# Ranges of the first camera's and the light's x, y, z, by domain; None where nothing is drawn.
_Box = tuple[tuple[float, float], ...]
# fmt: off
_VIEWS: dict[str, tuple[_Box, _Box | None]] = {
    "cheetah": (((-.25, .25), (-3.2, -2.8), (-.25, .25)), ((-2, 2), (-2, 2), (1, 5))),
    "walker": (((-.3, .3), (-2.05, -1.95), (.6, .8)), None),
    "cartpole": (((-.15, .15), (-5, -3), (.8, 1.2)), ((-1, 1), (-1, 1), (4.5, 7.5))),
    "ball_in_cup": (((-.05, .05), (-1.1, -.9), (.8, 1)), ((-.5, .5), (-.5, .5), (1.2, 2.7))),
    "finger": (((-.02, .02), (-1.01, -.99), (.7, 1)), ((-.8, .8), (-.8, .8), (1, 3))),
    "fish": (((-.05, .05), (-.05, .05), (.8, 1.2)), ((-.3, .3), (-.3, .3), (0, 1))),
    "hopper": (((-.15, .15), (-3, -2.6), (.6, 1)), None),
    "humanoid": (((-3.5, -2.5), (-.5, .5), (.5, 1.5)), ((-.7, .7), (-.7, .7), (1.2, 1.8))),
    "pendulum": (((0, .2), (-1.1, -.97), (1.3, 1.6)), ((-.5, .5), (-.2, .2), (1.2, 2.8))),
    "reacher": (((-.05, .05), (-.05, .05), (.7, .8)), ((-.2, .2), (-.2, .2), (.15, .75))),
}
# fmt: on


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
        named: list[tuple[str, str, tuple[str, ...]]]
        named = [("factors", factor, (*FACTORS, "all")) for factor in self.factors.split(",")]
        named += [(key, getattr(self, key), tuple(_SPLITS)) for key in ("split", "eval_split")]
        for key, value, known in named:
            if value not in known:
                hint = nearest(value, known)
                raise UserError(
                    f"env.dmcr.{key} must be of {', '.join(known)}, got {value!r}{hint}"
                )

    @property
    def varied(self) -> set[str]:
        """The factors that vary."""
        return set(FACTORS if self.factors == "all" else self.factors.split(","))


def tasks() -> tuple[str, ...]:
    """Returns nothing: the names are known only to dm_control, which is an extra."""
    return ()


def installed() -> tuple[str, ...]:
    """Returns the tasks of the domains for which looks are known."""
    return tuple(task for task in dmc.installed() if task.startswith(tuple(_VIEWS)))


def make(task: str, seed: int, options: Options) -> DMCR:
    """Returns a task such as `walker_run`, `cheetah_run` or `cartpole_balance`."""
    domain, _ = dmc.find_task("dmcr", task, options.image)
    if domain not in _VIEWS:
        raise UserError(f"dmcr_{task}: looks are known of the domains {', '.join(_VIEWS)}")
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
        _static(self._domain, model)
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
        pictures = _scene(model, self._visual, varied)
        _view(model, self._domain, self._visual, varied)
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


def _static(domain: str, model: Any) -> None:
    """Makes what DMC Remastered changed in the suite's models, whichever the seed."""
    model.mat_texrepeat[model.material("grid").id] = 3
    if domain == "cheetah":
        model.geom_size[model.geom("ground").id, 1] = 15
    elif domain == "ball_in_cup":
        _move(model, "cam", (0, -1, 0.9))
    elif domain == "pendulum":
        _move(model, "cam", (0.1, -1, 1.5))
        _turn(model, _axes(0.5))
    elif domain == "reacher":
        _move(model, "light", (0, 0, 0.5))


def _scene(model: Any, visual: int, varied: set[str]) -> dict[str, float]:
    """Writes colours and light, and returns which pictures to show, in [0, 1) of their pools."""
    rng = np.random.default_rng([visual, 0])
    pictures = {"skybox": rng.random(), "grid": rng.random()}
    reflectance = rng.uniform(0, 0.5)
    if "reflectance" in varied:
        model.mat_reflectance[model.material("grid").id] = reflectance
    names = {model.material(n).name: n for n in range(model.nmat)}
    for name, factor in (("self", "body"), ("effector", "body"), ("target", "target")):
        alpha = rng.uniform(0.75, 1)
        colour = (*rng.uniform(0, 1, 3), alpha)
        if factor in varied and name in names:
            model.mat_rgba[names[name]] = colour
    for key, low, high, spread in (
        ("ambient", 0.1, 0.8, 0.05),
        ("diffuse", 0.4, 0.9, 0.1),
        ("specular", 0.05, 0.3, 0.02),
    ):
        value = rng.uniform(low, high) + rng.uniform(-spread, spread, 3)
        if "light" in varied:
            getattr(model.vis.headlight, key)[:] = value
    wanted = {"skybox": "bg", "grid": "floor"}
    return {name: number for name, number in pictures.items() if wanted[name] in varied}


def _view(model: Any, domain: str, visual: int, varied: set[str]) -> None:
    """Moves the first camera and the light."""
    rng = np.random.default_rng([visual, 1])
    camera, light = _VIEWS[domain]
    tilt = rng.uniform(0.4, 0.6) if domain == "pendulum" else 0.0
    place = [rng.uniform(*span) for span in camera]
    angles = rng.uniform([85, -5, -5], [95, 5, 5]) if domain == "hopper" else None
    if "camera" in varied:
        _move(model, "cam", place)
        if domain == "pendulum":
            _turn(model, _axes(tilt))
        elif angles is not None:
            _turn(model, _rotation(*np.deg2rad(angles)))
    if light is None:
        return
    place = [rng.uniform(*span) for span in light]
    shine = {}
    if domain == "finger":
        for key, low, high in (("diffuse", 0.5, 1.1), ("specular", 0.0, 1.2)):
            shine[key] = rng.uniform(low, high) + rng.uniform(-0.02, 0.02, 3)
    if "light" in varied:
        _move(model, "light", place)
        for key, value in shine.items():
            getattr(model, f"light_{key}")[0] = value


def _move(model: Any, what: str, place: Any) -> None:
    """Moves the first camera or light; one that tracks is drawn at the compiled offset."""
    position = getattr(model, f"{what}_pos")
    shift = np.asarray(place, np.float64) - position[0]
    position[0] += shift
    for key in ("poscom0", "pos0"):
        getattr(model, f"{what}_{key}")[0] += shift


def _turn(model: Any, rotation: np.ndarray) -> None:
    """Turns the first camera; one that tracks is drawn at the compiled orientation."""
    import mujoco

    before = np.zeros(9)
    mujoco.mju_quat2Mat(before, model.cam_quat[0])
    mujoco.mju_mat2Quat(model.cam_quat[0], rotation.ravel())
    body = model.cam_mat0[0].reshape(3, 3) @ before.reshape(3, 3).T
    model.cam_mat0[0] = (body @ rotation).ravel()


def _axes(tilt: float) -> np.ndarray:
    """Returns the orientation of `xyaxes="1 0 0 0 tilt 1"`."""
    y = np.array([0, tilt, 1]) / np.hypot(tilt, 1)
    return np.stack([[1, 0, 0], y, np.cross([1, 0, 0], y)], 1)


def _rotation(x: float, y: float, z: float) -> np.ndarray:
    """Returns the orientation of MuJoCo's euler angles, about axes that turn along."""
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z
