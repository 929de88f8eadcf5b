"""What environments there are, and what one of them looks like."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from embodied.core.env import MASK, STANDARD_SPACES
from embodied.core.errors import UserError
from embodied.envs._tools import registry

_FEW = 4  # Names of tasks in the list of suites.
# For images of other than 1 or 3 channels: a colour each, as seaborn's "tab10".
_PALETTE = np.array(
    [[31, 119, 180], [255, 127, 14], [44, 160, 44], [214, 39, 40], [148, 103, 189],
     [140, 86, 75], [227, 119, 194], [127, 127, 127], [188, 189, 34], [23, 190, 207]], np.float32
)  # fmt: skip


def listing(word: str = "") -> str:
    """Returns the suites in a few lines each; with a word, the tasks with it in their names."""
    lines, hidden = [], []
    for name, suite in registry.suites().items():
        absent = suite.package and importlib.util.find_spec(suite.package) is None
        tasks = suite.tasks() if absent else suite.installed()
        if word:
            hidden += [f"{name} ({_needs(suite)})"] if absent and not tasks else []
            lines += [
                f"{name}_{task}" for task in tasks if word.lower() in f"{name}_{task}".lower()
            ]
            continue
        lines.append(f"{name}: {suite.doc}")
        few = ", ".join(f"{name}_{task}" for task in tasks[:_FEW])
        more = f" and {len(tasks) - _FEW} more" if len(tasks) > _FEW else ""
        lines += [f"    {few}{more}"] if tasks else []
        lines += [f"    needs: {_needs(suite)}"] if absent and suite.install else []
    unseen = f"not installed, so not searched: {', '.join(hidden)}" if hidden else ""
    if not lines:
        told = unseen or "`envs` lists the suites"
        raise UserError(f"no task has {word!r} in its name; {told}")
    lines += [unseen] if unseen else []
    if not word:
        lines.append("package.module:function/level: an environment of your own, by its path")
    return "\n".join(lines)


def _needs(suite: registry.Suite) -> str:
    """Returns what has to be installed for a suite."""
    extra = suite.install.startswith("harmony-dreamerv3[")
    return f"pip install '{suite.install}'" if extra else suite.install


def show(task: str, options: Mapping[str, Any], out: Path | None, steps: int) -> str:
    """Plays at random and writes what is seen.

    Args:
      task: as `embodied.envs.make` takes it.
      options: of its suite.
      out: a contact sheet (.png) or film (.gif); None for a sheet named after the task.
      steps: agent steps to play.

    Returns:
      The spaces, the returns, and where the picture is.

    Raises:
      UserError: as `make` does, or when the file cannot be written.
    """
    env = registry.make(task, 0, options)
    rng = np.random.default_rng(0)
    space = env.act_space["action"]
    images = [key for key, each in env.obs_space.items()
              if len(each.shape) == 3 and key not in STANDARD_SPACES]  # fmt: skip
    frames, total, returns = [], 0.0, []
    mask = None
    for _ in range(steps):
        obs = env.step(space.sample(rng, mask))
        mask = obs.get(MASK)
        total = float(obs["reward"]) + (0.0 if obs["is_first"] else total)
        if obs["is_last"]:
            returns.append(total)
        if images:
            frames.append(colours(obs[images[0]]))
    env.close()
    lines = [f"{task}: {env.repeat} frames a step, {'exact' if env.savable else 'no exact'} resume"]
    lines += [f"  {k}: {each}" for k, each in env.obs_space.items() if k not in STANDARD_SPACES]
    parts = [str(part) for part in space.parts] or [str(space)]
    lines.append(f"  action: {'; '.join(parts)}")
    ends = f"returns {', '.join(f'{value:g}' for value in returns[:8])}" if returns else "no end"
    lines.append(f"  {steps} random steps: {ends}")
    if not frames:
        return "\n".join([*lines, "  no images to show (--env.gym.render True adds them)"])
    out = out or Path(re.sub(r"[^\w.-]+", "-", task) + ".png")
    try:
        if out.suffix.lower() == ".gif":
            film = [Image.fromarray(enlarge(frame)) for frame in frames]
            film[0].save(out, save_all=True, append_images=film[1:], duration=60, loop=0)
        else:
            Image.fromarray(sheet(frames)).save(out)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {out}: {error}") from error
    return "\n".join([*lines, f"  wrote {out}"])


def colours(image: np.ndarray) -> np.ndarray:
    """Returns an image of any number of channels, uint8 or floats in [0, 1], as uint8 (H, W, 3)."""
    if image.dtype != np.uint8:
        image = (image * 255).astype(np.uint8)
    channels = image.shape[2]
    if channels in (1, 3):
        return np.repeat(image, 3, -1) if channels == 1 else image
    mixed = np.zeros((*image.shape[:2], 3), np.float32)
    for channel in range(channels):  # Later channels lie above earlier ones.
        share = image[..., channel, None] / np.float32(255)
        mixed = mixed * (1 - share) + _PALETTE[channel % len(_PALETTE)] * share
    return mixed.astype(np.uint8)


def enlarge(image: np.ndarray, side: int = 128) -> np.ndarray:
    """Returns the image at least `side` pixels high, by whole pixels."""
    times = max(-(-side // image.shape[0]), 1)
    return cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST)


def sheet(frames: list[np.ndarray], rows: int = 3, columns: int = 6) -> np.ndarray:
    """Returns evenly spaced frames, row by row."""
    places = np.linspace(0, len(frames) - 1, rows * columns).round().astype(int)
    tiles = [np.pad(enlarge(frames[place]), ((2, 2), (2, 2), (0, 0))) for place in places]
    lines = [np.concatenate(tiles[row * columns : (row + 1) * columns], 1) for row in range(rows)]
    return np.concatenate(lines)
