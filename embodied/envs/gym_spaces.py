"""From Gymnasium's spaces to ours, with the functions that convert the values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from embodied.core.errors import UserError
from embodied.core.space import Space


def flat(space: Any, name: str) -> dict[str, Any]:
    """Returns the leaves of an observation space by key, nested keys joined by a slash.

    Args:
      space: a Gymnasium space; one that is no Dict is called `image` or `vector`.
      name: the task, for the message.

    Raises:
      UserError: when two leaves have one key.
    """
    import gymnasium

    if not isinstance(space, gymnasium.spaces.Dict):
        return {"image" if _is_image(space) else "vector": space}
    found: dict[str, Any] = {}
    for key, inner in space.spaces.items():
        leaves = {str(key): inner}
        if isinstance(inner, gymnasium.spaces.Dict):
            leaves = {f"{key}/{below}": leaf for below, leaf in flat(inner, name).items()}
        twice = sorted(found.keys() & leaves.keys())
        if twice:
            raise UserError(
                f"{name}: its observation has the key {twice[0]!r} twice, once nested "
                f"({' -> '.join(map(repr, twice[0].split('/')))}); rename one of them"
            )
        found.update(leaves)
    return found


def flat_value(value: Any) -> dict[str, Any]:
    """Returns the leaves of an observation by the keys of `flat`, `""` for one that is no dict."""
    if not isinstance(value, dict):
        return {"": value}
    found = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            found.update({f"{key}/{name}": leaf for name, leaf in flat_value(inner).items()})
        else:
            found[str(key)] = inner
    return found


def observe(space: Any, name: str, size: int) -> tuple[Space, Callable[[Any], np.ndarray]]:
    """Returns our space for one observation key, and the function that converts its values.

    Args:
      space: Box (uint8 images, numbers of any shape), Discrete, MultiDiscrete or MultiBinary.
      name: task and key, for the message.
      size: pixels along each side to which images are resized; 0 keeps them.

    Raises:
      UserError: for another space, and for images whose channels come first.
    """
    import gymnasium.spaces as spaces

    if _has_channels_first(space):
        raise UserError(
            f"{name}: uint8 of shape {space.shape} looks like an image with its channels first, "
            "expected (height, width, channels): transpose it with gymnasium.wrappers."
            "TransformObservation(env, lambda x: x.transpose(1, 2, 0), space), or make it a "
            "vector with gymnasium.wrappers.FlattenObservation(env)"
        )
    if _is_image(space):
        height, width = (size, size) if size else space.shape[:2]
        channels = space.shape[2] if len(space.shape) == 3 else 1
        return Space(np.uint8, (height, width, channels), 0, 255), lambda x: resize(x, size)
    if isinstance(space, spaces.Discrete):
        eye, start = np.eye(int(space.n), dtype=np.float32), int(space.start)
        return Space(np.float32, (len(eye),), 0, 1), lambda x: eye[int(x) - start]
    if isinstance(space, spaces.MultiDiscrete):
        eyes = [np.eye(int(n), dtype=np.float32) for n in space.nvec.ravel()]
        first = space.start.ravel()
        total = sum(len(eye) for eye in eyes)
        return Space(np.float32, (total,), 0, 1), lambda x: np.concatenate(
            [eye[int(i) - start] for eye, i, start in zip(eyes, np.ravel(x), first)]
        )
    if isinstance(space, spaces.MultiBinary):
        return Space(np.float32, (int(np.prod(space.shape)),), 0, 1), _vector
    if isinstance(space, spaces.Box):
        low = float(np.min(space.low.astype(np.float64), initial=np.inf))
        high = float(np.max(space.high.astype(np.float64), initial=-np.inf))
        shape = (int(np.prod(space.shape)),)
        bounds = (low if np.isfinite(low) else None, high if np.isfinite(high) else None)
        return Space(np.float32, shape, *bounds), _vector
    raise UserError(
        f"{name}: expected an observation of Box, Discrete, MultiDiscrete, MultiBinary or a Dict "
        f"of these, got {space}"
    )


def act(space: Any, name: str) -> tuple[Callable[[np.ndarray], Any], Space]:
    """Returns the function from our action to theirs, and our action space.

    Args:
      space: Discrete (ours: one-hot), or a bounded Box (ours: flat, in [-1, 1]).
      name: the task, for the message.

    Raises:
      UserError: for another space.
    """
    import gymnasium.spaces as spaces

    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        one_hot = Space(np.float32, (int(space.n),), 0, 1, discrete=True)
        return lambda action: start + int(np.argmax(action)), one_hot
    if isinstance(space, spaces.Box) and space.is_bounded() and space.dtype.kind == "f":
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)

        def rescale(action: np.ndarray) -> np.ndarray:
            unit = (np.asarray(action, np.float64).reshape(space.shape) + 1) / 2
            return np.clip(low + unit * (high - low), low, high).astype(space.dtype)

        return rescale, Space(np.float32, (int(np.prod(space.shape)),), -1, 1)
    raise UserError(
        f"{name}: expected an action space of Discrete or of a bounded Box of floats, got {space}"
    )


def resize(image: Any, size: int) -> np.ndarray:
    """Returns the image as uint8 (size, size, channels), areas averaged; 0 keeps its size.

    Args:
      image: uint8 (H, W) or (H, W, channels).
      size: pixels along each side.
    """
    image = np.ascontiguousarray(image, np.uint8)
    if size and image.shape[:2] != (size, size):
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return image[..., None] if image.ndim == 2 else image


def _vector(value: Any) -> np.ndarray:
    return np.asarray(value, np.float32).reshape(-1)


def _is_image(space: Any) -> bool:
    import gymnasium.spaces as spaces

    if not isinstance(space, spaces.Box) or space.dtype != np.uint8:
        return False
    return len(space.shape) == 2 or (len(space.shape) == 3 and space.shape[2] in (1, 3, 4))


def _has_channels_first(space: Any) -> bool:
    """Whether the space is (1, 3 or 4, H, W) with sides that only images have."""
    import gymnasium.spaces as spaces

    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or _is_image(space):
        return False
    return len(space.shape) == 3 and space.shape[0] in (1, 3, 4) and min(space.shape[1:]) >= 16
