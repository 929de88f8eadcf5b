"""Looks of DMC Remastered: a seed's colours, light and camera, written into a MuJoCo model."""

from __future__ import annotations

from typing import Any

import numpy as np

# Ranges of the first camera's and the light's x, y, z, by domain; None where nothing is drawn.
_Box = tuple[tuple[float, float], ...]
# fmt: off
VIEWS: dict[str, tuple[_Box, _Box | None]] = {
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


def static(domain: str, model: Any) -> None:
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


def scene(model: Any, visual: int, varied: set[str]) -> dict[str, float]:
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


def view(model: Any, domain: str, visual: int, varied: set[str]) -> None:
    """Moves the first camera and the light."""
    rng = np.random.default_rng([visual, 1])
    camera, light = VIEWS[domain]
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
