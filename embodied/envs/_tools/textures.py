"""Skies, floors and moving scenes without downloads, as functions of a number.

Means, spreads and spectra are those measured over the photographs that DMC Remastered used; colours
stay near grey, green and blue, for the channels of photographs go together.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from embodied.core.errors import UserError

SKIES, FLOORS = 119, 383  # As many as there were photographs.
_VERSION = 1  # Of the pools: a number means the same picture as long as it stays.
# Kinds of floors: how many, mean colour; the eight add up to FLOORS.
_KINDS = (
    ("grass", 120, (0.50, 0.49, 0.32)),
    ("sand", 79, (0.59, 0.54, 0.46)),
    ("brick", 55, (0.61, 0.52, 0.41)),
    ("concrete", 55, (0.56, 0.54, 0.48)),
    ("frozen", 24, (0.60, 0.59, 0.57)),
    ("stones", 18, (0.52, 0.50, 0.40)),
    ("moss", 19, (0.46, 0.48, 0.32)),
    ("leaves", 13, (0.54, 0.46, 0.32)),
)
_WITHIN = 0.08  # Standard deviation inside of a floor.


def generator(kind: str, index: int) -> np.random.Generator:
    """Returns the generator of one picture of a pool."""
    key = np.frombuffer(f"{kind:8.8}".encode(), np.uint64)[0]
    return np.random.Generator(np.random.Philox(key=[int(key) ^ _VERSION, index]))


def noise(rng: np.random.Generator, size: int, exponent: float, axes: int = 2) -> np.ndarray:
    """Returns periodic noise of mean 0 and deviation 1 whose amplitude falls as f^-exponent.

    It has `size` cells along each of one or two `axes`.
    """
    frequencies = np.abs(np.fft.fftfreq(size, 1 / size))
    grid = frequencies if axes == 1 else np.hypot(frequencies[:, None], frequencies)
    grid.flat[0] = np.inf  # No mean.
    spectrum = np.fft.fftn(rng.standard_normal((size,) * axes)) * grid**-exponent
    wave = np.fft.ifftn(spectrum).real
    return wave / wave.std()


def floor(index: int, size: int = 256) -> np.ndarray:
    """Returns floor number `index`, uint8 (size, size, 3), which tiles."""
    rng = generator("floor", index % FLOORS)
    ends = np.cumsum([count for _, count, _ in _KINDS])
    kind, _, colour = _KINDS[int(np.searchsorted(ends, index % FLOORS, side="right"))]
    shared = rng.normal(0, 0.055) + rng.normal(0, 0.035, 3)
    texture = noise(rng, size, 0.67 + rng.uniform(-0.2, 0.2))[..., None]
    hue = noise(rng, size, 1.0)[..., None] * rng.normal(0, 0.012, 3)
    image = np.asarray(colour) + shared + _WITHIN * texture * rng.uniform(0.7, 1.1) + hue
    if kind == "brick":
        rows = int(rng.integers(4, 9))
        y, x = np.mgrid[:size, :size] * rows / size
        joint = (y % 1 < 0.12) | ((x / 2 + np.floor(y) % 2 / 2) % 1 < 0.06)
        image = np.where(joint[..., None], image * 0.6 + 0.25, image)
    return _bytes(image)


def sky(index: int, size: int = 256) -> np.ndarray:
    """Returns sky number `index`, uint8 (size, size, 3): clouds above dark land with a ridge."""
    rng = generator("sky", index % SKIES)
    tone = rng.normal(0, 0.125) + rng.normal(0, [0.05, 0.04, 0.08])
    top = np.array([0.42, 0.48, 0.57]) + tone + rng.normal(0, 0.08)
    horizon = np.array([0.64, 0.61, 0.53]) + tone + rng.normal(0, 0.08, 3) * [1, 0.6, 1]
    height = np.linspace(0, 1, size)[:, None, None]
    line = rng.uniform(0.35, 0.75) + rng.uniform(0.02, 0.08) * noise(rng, size, 1.2, axes=1)
    line = line[None, :, None]
    share = np.clip(height / line, 0, 1)
    clouds = 0.2 * noise(rng, size, 1.7)[..., None] * [1.0, 0.9, 0.95]
    above = (1 - share) * top + share * horizon + clouds
    land = np.array([0.35, 0.35, 0.28]) + tone * 0.6 + rng.normal(0, 0.05, 3)
    below = land + 0.15 * noise(rng, size, 1.1)[..., None] + 0.1 * (share - height)
    return _bytes(np.where(height < line, above, below))


def scene(split: str, index: int, frames: int = 270, size: int = 64) -> np.ndarray:
    """Returns a moving scene, uint8 (frames, size, size, 3).

    Clouds and ground drift and slowly grow, some blobs move before them, the light flickers.

    Args:
      split: such as `train`; splits have different scenes.
      index: number of the scene.
      frames: how many.
      size: pixels along each side.
    """
    rng = generator(split, index)
    canvas = 3 * size
    sky_part, land = (noise(rng, canvas, exponent)[..., None] for exponent in (1.5, 1.0))
    upper, lower = rng.uniform(0.35, 0.8, 3), rng.uniform(0.15, 0.55, 3)
    height = np.linspace(0, 1, canvas)[:, None, None]
    world = np.where(height < rng.uniform(0.35, 0.65), upper + 0.12 * sky_part, lower + 0.1 * land)
    world = world.astype(np.float32)
    blobs = int(rng.integers(2, 6))
    places, speeds = rng.uniform(0, size, (blobs, 2)), rng.normal(0, 0.8, (blobs, 2))
    radii, colours = rng.uniform(3, 9, blobs), rng.uniform(0, 1, (blobs, 3))
    drift, zoom = rng.normal(0, 0.5, 2), rng.uniform(0.997, 1.003)
    light = 1 + 0.06 * noise(rng, frames, 0.5, axes=1)
    clip = np.empty((frames, size, size, 3), np.uint8)
    grid = np.mgrid[:size, :size].astype(np.float32)
    for time in range(frames):
        side = size * zoom ** (time - frames / 2)
        rows, columns = (
            (canvas / 2 + drift[axis] * (time - frames / 2) + (grid[axis] - size / 2) * side / size)
            for axis in (0, 1)
        )
        image = cv2.remap(
            world, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )  # fmt: skip
        for place, radius, colour in zip((places + speeds * time) % size, radii, colours):
            inside = np.hypot(grid[0] - place[0], grid[1] - place[1]) < radius
            image[inside] = colour
        clip[time] = _bytes(image * light[time])
    return clip


def pictures(folder: str) -> list[Path]:
    """Returns the images below a folder, sorted by name.

    Raises:
      UserError: when there are none.
    """
    kinds = (".png", ".jpg", ".jpeg", ".bmp")
    paths = sorted(p for p in Path(folder).expanduser().rglob("*") if p.suffix.lower() in kinds)
    if not paths:
        raise UserError(f"{folder}: expected images ({', '.join(kinds)}) in it or below")
    return paths


def read(path: Path, size: int) -> np.ndarray:
    """Returns an image file as uint8 (size, size, 3).

    Raises:
      UserError: when it cannot be read.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{path} cannot be read as an image")
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)[..., ::-1].copy()


def _bytes(image: np.ndarray) -> np.ndarray:
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)
