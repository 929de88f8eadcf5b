"""From Gymnasium's spaces to ours, with the functions that check and convert the values.

Values are checked before they are cast: a float in a space of uint8 would become a black image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from embodied.core.errors import UserError
from embodied.core.space import Space

CHOICES = ("image", "vector", "ignore")
MOST_CELLS = 4096  # Most cells of a one-hot vector.
_NUMBERS = 2**20  # Most numbers of a vector: 4 MiB in each step of the replay.
_PIXELS = 2**26  # Most numbers of an image, before it is shrunk.
_SIDE = 16  # Grids below are cells, not photographs.
_SURE = 32  # From here on nobody shows a grid of classes in three channels of bytes.
_KEYS = "--env.gym.keys '{%s: %s}'"
Observer = tuple[Space, Callable[[Any], np.ndarray]]


def flat(space: Any) -> dict[str, Any]:
    """Returns the leaves of an observation space by key, nested keys joined by a slash.

    The key of a space that is no Dict is `""`.

    Raises:
      UserError: when two leaves have one key.
    """
    import gymnasium

    if not isinstance(space, gymnasium.spaces.Dict):
        return {"": space}
    leaves: dict[str, Any] = {}
    for key, inner in space.spaces.items():
        own = {f"{key}/{below}" if below else str(key): leaf for below, leaf in flat(inner).items()}
        twice = sorted(leaves.keys() & own.keys())
        if twice:
            raise UserError(
                f"its observation has the key {twice[0]!r} twice, once nested "
                f"({' -> '.join(map(repr, twice[0].split('/')))}); rename one of them"
            )
        leaves.update(own)
    return leaves


def flat_value(value: Any) -> dict[str, Any]:
    """Returns the leaves of an observation by the keys of `flat`."""
    if not isinstance(value, dict):
        return {"": value}
    return {
        f"{key}/{below}" if below else str(key): leaf
        for key, inner in value.items()
        for below, leaf in flat_value(inner).items()
    }


def observe(space: Any, key: str, size: int, choice: str = "") -> Observer:
    """Returns our space for one observation key, and the function that converts its values.

    Args:
      space: Box (images, numbers of any shape), Discrete, MultiDiscrete or MultiBinary.
      key: for messages.
      size: pixels along each side to which images are resized; 0 keeps them.
      choice: `image` or `vector`, whatever it looks like; `""` decides: uint8 in [0, 255] and
        floats in [0, 1] of shape (H, W) or (H, W, 1, 3 or 4), sides 32 or more, are images, other
        numbers vectors, Discrete one-hot. What may be a stack of frames, an image of other numbers
        or a large grid of classes is not decided.

    Raises:
      UserError: for another space, for one too large, and where a choice has to be made.
    """
    import gymnasium.spaces as spaces

    if isinstance(space, spaces.Box):
        seen = looks(space)
        if choice == "image" or (not choice and seen == "image"):
            return _image(space, key, size)
        if not choice and seen:
            raise UserError(
                f"{key}: {space.dtype} of shape {space.shape} looks like {seen}, expected uint8 in "
                f"[0, 255] or floats in [0, 1] of shape (height, width, 1, 3 or 4), 32 or more "
                f"along each side; {_KEYS % (key, 'image')} makes it an image all the same (the "
                f"channels of all frames side by side), {_KEYS % (key, 'vector')} a vector"
            )
        return _numbers(space, key)
    if choice == "image":
        raise UserError(f"{key}: expected a Box for an image, got {space}")
    if isinstance(space, spaces.MultiBinary) or (
        choice == "vector" and isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
    ):
        return _numbers(space, key)
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return _one_hot(space, key)
    raise UserError(
        f"{key}: expected an observation of Box, Discrete, MultiDiscrete, MultiBinary or a Dict "
        f"of these, got {space}; {_KEYS % (key, 'ignore')} leaves it out"
    )


def looks(space: Any) -> str:
    """Returns `image`, what else of pixels a space seems to hold, or the empty string."""
    shape: tuple[int, ...] = getattr(space, "shape", None) or ()
    sides = [side for side in shape if side >= _SIDE]
    if not hasattr(space, "low") or len(sides) < 2 or len(shape) > 4:
        return ""
    low, high = float(space.low.min(initial=0)), float(space.high.max(initial=0))
    kind, single = space.dtype.kind, (1, 3, 4)
    last = len(shape) == 3 and min(shape[:2]) >= _SIDE and shape[2] in single
    first = len(shape) == 3 and min(shape[1:]) >= _SIDE and shape[0] in single
    pixels = space.dtype == np.uint8 and (low, high) == (0, 255)
    if not pixels and not (kind == "f" and (low, high) == (0, 1)):
        classes = kind in "iub" and high - low < 255
        return "an image of other numbers" if (last or first) and not classes else ""
    sure = min(shape[:2]) >= _SURE
    if len(shape) == 2 and not pixels:
        return "an image or a matrix" if sure else ""
    if last or len(shape) == 2:
        return "image" if sure else "an image or a grid of classes"
    return "an image with its channels first" if first else "a stack of frames"


def _image(space: Any, key: str, size: int) -> Observer:
    """Returns the space, uint8 (H, W, C), and what brings values into it.

    Floats in [0, 1] become 255ths, which every agent reads as the same floats again.
    """
    shape, low = space.shape, float(space.low.min(initial=0))
    high = float(space.high.max(initial=0))
    if len(shape) not in (2, 3, 4) or not 0 < int(np.prod(shape)) <= _PIXELS:
        raise UserError(f"{key}: expected an image of 2 to 4 axes, got {space.dtype} {shape}")
    if low < 0 or (space.dtype.kind == "f" and high not in (1, 255)) or high > 255:
        raise UserError(f"{key}: expected pixels in [0, 255] or floats in [0, 1], got {space}")
    first = len(shape) == 3 and shape[0] < min(shape[1:]) and shape[2] > 4
    sides = shape[1:3] if first or len(shape) == 4 else shape[:2]
    channels = int(np.prod(shape)) // int(np.prod(sides))
    small = max(sides) < size  # Enlarged by whole cells: nothing is invented between them.
    scale = 1 / high if space.dtype.kind == "f" else max(255 // max(int(high), 1), 1)
    dtype: Any = np.float32 if space.dtype.kind == "f" else np.uint8

    def convert(value: Any) -> np.ndarray:
        array = _array(value, key, shape, exact=True)
        if dtype is np.uint8 and array.dtype.kind == "f":
            raise UserError(f"{key}: its space is {space.dtype}, got floats such as {array.max()}")
        if array.dtype != np.uint8 or high < 255:
            _within(array, key, low, high)
        if first:
            array = array.transpose(1, 2, 0)
        elif len(shape) == 4:
            array = np.moveaxis(array, 0, 2).reshape(*sides, channels)
        image = resize(array.astype(dtype) * dtype(scale), size, small)
        return image if dtype is np.uint8 else (image * 255).round().clip(0, 255).astype(np.uint8)

    height, width = (size, size) if size else sides
    return Space(np.uint8, (height, width, channels), 0, 255), convert


def _one_hot(space: Any, key: str) -> Observer:
    import gymnasium.spaces as spaces

    single = isinstance(space, spaces.Discrete)
    counts = np.ravel([space.n] if single else space.nvec).astype(np.int64)
    first = np.ravel([space.start] if single else space.start).astype(np.int64)
    total = sum(counts.tolist())  # Not NumPy's sum, which may overflow.
    if total > MOST_CELLS:
        raise UserError(
            f"{key}: {space} would be a one-hot vector of {total:,} numbers, at most "
            f"{MOST_CELLS:,} are taken; {_KEYS % (key, 'vector')} gives the number itself, "
            f"{_KEYS % (key, 'ignore')} leaves it out"
        )
    starts = np.cumsum(counts) - counts

    def convert(value: Any) -> np.ndarray:
        array = _array(value, key, counts.shape)
        if (
            array.dtype.kind not in "iub"
            or (array < first).any()
            or (array >= first + counts).any()
        ):
            raise UserError(f"{key}: {_short(value)} is not in {space}")
        vector = np.zeros(total, np.float32)
        vector[starts + array - first] = 1
        return vector

    return Space(np.float32, (total,), 0, 1), convert


def _numbers(space: Any, key: str) -> Observer:
    size = int(np.prod(space.shape or (1,)))
    if not 0 < size <= _NUMBERS:
        raise UserError(
            f"{key}: a vector of {size:,} numbers, expected 1 to {_NUMBERS:,} ({space}); "
            f"{_KEYS % (key, 'ignore')} leaves it out"
        )
    low, high = None, None
    whole = space.dtype is not None and space.dtype.kind in "iub"
    if hasattr(space, "low"):
        ends = float(space.low.min()), float(space.high.max())
        low, high = (end if np.isfinite(end) else None for end in ends)
    elif not hasattr(space, "start"):  # MultiBinary
        low, high = 0.0, 1.0

    def convert(value: Any) -> np.ndarray:
        array = _array(value, key, (size,))
        if whole and array.dtype.kind == "f" and (array != np.round(array)).any():
            wrong = array[array != np.round(array)][0]
            raise UserError(f"{key}: its space is {space.dtype}, got floats such as {wrong}")
        with np.errstate(over="ignore"):  # What float32 cannot hold is refused as infinite.
            return array.astype(np.float32)

    return Space(np.float32, (size,), low, high), convert


def _array(value: Any, key: str, shape: tuple[int, ...], exact: bool = False) -> np.ndarray:
    """Returns a value as an array of numbers; of just this shape, or of as many numbers."""
    try:
        array = np.asarray(value)
    except ValueError as error:  # Rows of unequal length.
        raise UserError(f"{key}: expected numbers of shape {shape}, got {_short(value)}") from error
    fits = array.shape == shape if exact else array.size == int(np.prod(shape))
    if array.dtype.kind not in "biuf" or not fits:
        what = f"{array.dtype} of shape {array.shape}" if array.size > 4 else _short(value)
        raise UserError(f"{key}: expected numbers of shape {shape}, got {what}")
    return array if exact else array.reshape(shape)


def _within(array: np.ndarray, key: str, low: float, high: float) -> None:
    wrong = ~((array >= low) & (array <= high))  # True for what is not a number, too.
    if wrong.any():
        raise UserError(f"{key}: expected pixels in [{low:g}, {high:g}], got {array[wrong][0]}")


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) < 80 else f"{text[:76]} ..."


def flag(value: Any, what: str) -> bool:
    """Returns whether an episode ends; refuses what is neither True nor False, see `scalar`."""
    number = scalar(value, what)
    if number not in (0, 1):
        raise UserError(f"{what}: expected True or False, got {_short(value)}")
    return bool(number)


def scalar(value: Any, what: str) -> float:
    """Returns a reward or a flag, `what`, that may come as an array of one number.

    Raises:
      UserError: when it is anything else.
    """
    array = np.asarray(value) if isinstance(value, np.ndarray) or np.isscalar(value) else None
    if array is None or array.size != 1 or array.dtype.kind not in "biuf":
        raise UserError(f"{what}: expected a number, got {_short(value)}")
    return float(array.reshape(()))


def pixels(value: Any, what: str) -> np.ndarray:
    """Returns what an environment renders.

    Raises:
      UserError: when it is not uint8 (H, W, 3).
    """
    array: np.ndarray = value if isinstance(value, np.ndarray) else np.zeros(0)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise UserError(f"{what}: expected an image of uint8 (H, W, 3), got {_short(value)}")
    return value


def resize(image: np.ndarray, size: int, whole: bool = False) -> np.ndarray:
    """Returns the image as (size, size, channels), areas averaged; 0 keeps its size.

    Args:
      image: uint8 or float32 (H, W) or (H, W, channels).
      size: pixels along each side.
      whole: repeat cells instead of averaging.
    """
    if size and image.shape[:2] != (size, size):
        kind = cv2.INTER_NEAREST if whole else cv2.INTER_AREA
        image = np.ascontiguousarray(image[..., None] if image.ndim == 2 else image)
        pieces = [  # OpenCV takes four channels at a time.
            cv2.resize(image[..., c : c + 4], (size, size), interpolation=kind).reshape(
                size, size, -1
            )
            for c in range(0, image.shape[2], 4)
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, -1)
    return image[..., None] if image.ndim == 2 else image
