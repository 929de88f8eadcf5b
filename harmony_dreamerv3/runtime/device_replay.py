"""Replay kept in accelerator memory: written in place, gathered inside the compiled update."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from embodied.core.errors import UserError
from embodied.core.space import Space

Arrays = dict[str, jax.Array]
MAX_ELEMENTS = 2**31 - 1  # Of one array; compilers count in 32 bits where they can.


@dataclasses.dataclass(frozen=True)
class DeviceBatch:
    """Windows of a `DeviceStore`, not gathered yet."""

    store: DeviceStore  # where they lie
    index: np.ndarray  # positions `[B, T]` int32
    first: np.ndarray  # bool `[B, T]`; where it holds, `is_first` is set, whatever was stored


class DeviceStore:
    """Transitions in accelerator memory, in the dtype of their space; None: the default device."""

    def __init__(
        self, spaces: Mapping[str, Space], capacity: int, device: jax.Device | None = None
    ) -> None:
        self.capacity = capacity
        self.nbytes = size_of(spaces, capacity)
        with jax.default_device(device):
            self.arrays: Arrays = {
                key: jnp.zeros((capacity, *space.shape), space.dtype)
                for key, space in spaces.items()
            }

    def write(self, positions: np.ndarray, data: Mapping[str, Any]) -> None:
        """Writes transitions `[K, ...]` at positions `[K]`; nothing where they are `capacity`."""
        rows = {key: data[key] for key in self.arrays if key in data}
        arrays = {key: self.arrays[key] for key in rows}
        self.arrays = self.arrays | _write(arrays, np.asarray(positions, np.int32), rows)

    def gather(self, index: np.ndarray, first: np.ndarray) -> DeviceBatch:
        """Names windows `[B, T]`; the compiled update gathers them."""
        return DeviceBatch(self, np.asarray(index, np.int32), first)

    def read(
        self, positions: np.ndarray, names: Collection[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Copies transitions at positions `[K]` to the host, `[K, ...]`."""
        arrays = {key: self.arrays[key] for key in (self.arrays if names is None else names)}
        rows = _read(arrays, np.asarray(positions, np.int32))
        return {key: np.asarray(value) for key, value in rows.items()}


@functools.partial(jax.jit, donate_argnums=0)
def _write(arrays: Arrays, positions: jax.Array, data: Arrays) -> Arrays:
    return {key: array.at[positions].set(data[key], mode="drop") for key, array in arrays.items()}


@jax.jit
def _read(arrays: Arrays, positions: jax.Array) -> Arrays:
    return {key: array[positions] for key, array in arrays.items()}


def gather(arrays: Mapping[str, jax.Array], index: Any, first: Any) -> Arrays:
    """Windows `[B, T, ...]` of each array, with `is_first` set where `first` holds."""
    batch = {key: array[index] for key, array in arrays.items()}
    return batch | {"is_first": batch["is_first"] | first}


def size_of(spaces: Mapping[str, Space], capacity: int) -> int:
    """Bytes that `capacity` transitions take."""
    each = sum(math.prod(s.shape) * np.dtype(s.dtype).itemsize for s in spaces.values())
    return each * capacity


def check_size(spaces: Mapping[str, Space], capacity: int) -> None:
    """Raises UserError for an array of more elements than programs on devices surely address."""
    for name, space in spaces.items():
        elements = capacity * math.prod(space.shape)
        if elements > MAX_ELEMENTS:
            raise UserError(
                f"jax.device_replay True: {capacity:,} steps of {name!r} are {elements:,} numbers, "
                f"more than the {MAX_ELEMENTS:,} of one array on a device; lower run.replay_size, "
                "or leave jax.device_replay auto, which then takes the host's memory"
            )


def fits(spaces: Mapping[str, Space], capacity: int, count: int, device: jax.Device) -> bool:
    """Returns whether `count` stores take at most half of what an accelerator has free."""
    if device.platform == "cpu":
        return False
    if any(capacity * math.prod(space.shape) > MAX_ELEMENTS for space in spaces.values()):
        return False
    stats = device.memory_stats() or {}
    free = stats.get("bytes_limit", 0) - stats.get("bytes_in_use", 0)
    return size_of(spaces, capacity) * count <= 0.5 * free
