"""Environment states as bytes: plain data and arrays, no code, so safe to read from a file."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from embodied.core.errors import UserError

_TREE = "tree"  # Name of the array that holds the JSON text.


def pack(value: Any) -> bytes:
    """Encodes nested plain data exactly.

    Args:
      value: None, bool, int, float, str, bytes, NumPy array or scalar, NumPy generator (its state
        is taken), or a list, tuple or dict with string keys of these.

    Returns:
      A safetensors file: the arrays, and a JSON tree that refers to them.

    Raises:
      TypeError: for anything else; nothing is ever pickled.
    """
    arrays: dict[str, np.ndarray] = {}
    tree = json.dumps(_encode(value, arrays))
    arrays[_TREE] = np.frombuffer(tree.encode(), np.uint8)
    return safetensors.numpy.save(arrays)


def unpack(data: bytes) -> Any:
    """Decodes what `pack` returned; tuples stay tuples, generators come back as their state.

    Raises:
      UserError: when the bytes are damaged.
    """
    try:
        arrays = safetensors.numpy.load(data)
        return _decode(json.loads(arrays[_TREE].tobytes()), arrays)
    except (
        safetensors.SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError
    ) as error:  # fmt: skip
        raise UserError(
            f"the saved environment state is damaged ({error}); go back to an older checkpoint"
        ) from error


class Saved:
    """Saves and restores the generator `_rng` and the attributes that `_STATE` names."""

    savable = True
    _STATE: tuple[str, ...] = ()
    _rng: np.random.Generator

    def save(self) -> bytes:
        """Returns the attributes and the generator."""
        return pack({"rng": self._rng, **{key: getattr(self, f"_{key}") for key in self._STATE}})

    def load(self, data: bytes) -> None:
        """Restores what `save` returned."""
        state = expect(unpack(data), {"rng", *self._STATE}, type(self).__name__.lower())
        set_rng(self._rng, state["rng"])
        for key in self._STATE:
            setattr(self, f"_{key}", state[key])


def plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of an object's attributes that `pack` can encode, generators left out."""
    found = {}
    for key, value in attributes.items():
        if not isinstance(value, np.random.Generator | np.random.RandomState):
            with contextlib.suppress(TypeError):
                _encode(value, {})
                found[key] = value
    return found


def set_attributes(target: Any, saved: Any, name: str) -> None:
    """Puts back attributes that `plain` returned, into the object that they were taken of.

    Raises:
      UserError: when they would replace what is no plain data, such as a method.
    """
    now = vars(target)
    kept = plain(now)
    if not isinstance(saved, dict):
        raise UserError(f"the saved state of {name} has no attributes of its task")
    for key in saved:
        if callable(getattr(target, key, None)) or (key in now and key not in kept):
            raise UserError(f"the saved state of {name} replaces {key!r} of its task")
    now.update(saved)


def expect(state: Any, keys: set[str], name: str) -> dict[str, Any]:
    """Returns the state when it is a dict with just these keys.

    Raises:
      UserError: when it was written by something else than the environment `name`.
    """
    if not isinstance(state, dict) or set(state) != keys:
        found = sorted(state) if isinstance(state, dict) else type(state).__name__
        raise UserError(f"a state of {name} has the keys {sorted(keys)}, found {found}")
    return state


def array(value: Any, like: np.ndarray) -> np.ndarray:
    """Returns a saved array when it has the dtype and shape of `like`.

    Raises:
      UserError: when it has not.
    """
    if not isinstance(value, np.ndarray) or (value.dtype, value.shape) != (like.dtype, like.shape):
        raise UserError(
            f"the saved environment state has no array of {like.dtype} {like.shape} where one "
            "belongs; go back to an older checkpoint"
        )
    return value


def set_rng(rng: np.random.Generator, state: Any) -> None:
    """Puts a generator into a saved state, in place.

    Raises:
      UserError: when it is not the state of such a generator.
    """
    try:
        rng.bit_generator.state = state
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"the saved environment state has no random state ({error!r})") from error


def _encode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.random.Generator):
        return _encode(value.bit_generator.state, arrays)
    if isinstance(value, np.random.RandomState):
        return _encode(value.get_state(legacy=False), arrays)
    if isinstance(value, bytes):
        return {"$": "bytes", "v": _encode(np.frombuffer(value, np.uint8), arrays)}
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "biuf":
            raise TypeError(f"cannot save an array of dtype {value.dtype}")
        name = str(len(arrays))
        arrays[name] = np.array(value, order="C")
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {"$": kind, "v": name}
    if type(value) in (list, tuple):
        items = [_encode(item, arrays) for item in value]
        return items if isinstance(value, list) else {"$": "tuple", "v": items}
    if type(value) is dict and all(isinstance(key, str) for key in value):
        return {"$": "dict", "v": {key: _encode(item, arrays) for key, item in value.items()}}
    raise TypeError(f"cannot save a value of type {type(value).__name__}")


def _decode(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(tree, list):
        return [_decode(item, arrays) for item in tree]
    if not isinstance(tree, dict):
        return tree
    kind, value = tree["$"], tree["v"]
    if kind == "array":
        return arrays[value].copy()
    if kind == "scalar":
        return arrays[value][()]
    if kind == "bytes":
        return _decode(value, arrays).tobytes()
    if kind == "tuple":
        return tuple(_decode(item, arrays) for item in value)
    if kind == "dict":
        return {key: _decode(item, arrays) for key, item in value.items()}
    raise ValueError(f"unknown kind {kind!r}")
