"""Checkpoints of the released code: its variables and optimizer states."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from embodied.checkpoint import files
from embodied.core.errors import UserError, nearest
from harmony_dreamerv3.agents.dreamerv3 import Agent, TrainState
from harmony_dreamerv3.interop import foreign
from harmony_dreamerv3.interop.bundle import read_npz
from harmony_dreamerv3.interop.inert import InertState
from harmony_dreamerv3.interop.names import import_moments, import_params
from harmony_dreamerv3.interop.unpickle import load

OPTIMIZERS = ("model", "actor", "critic")
# `.../model_opt/state`, and counters beside it such as `.../model_opt/step/value`.
_OPTIMIZER = re.compile(r"agent/(?:.*/)?(\w+)_opt/(.+)")
Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Moments:
    """State of one Adam optimizer: updates made, moments by variable name."""

    count: int
    mu: Arrays
    nu: Arrays


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of the released code."""

    params: Arrays  # arrays by variable name, optimizer states left out
    moments: dict[str, Moments]  # by optimizer, those that were found
    step: int  # agent steps at which it was saved


def read(path: Path) -> Checkpoint:
    """Reads a checkpoint, a pickle or arrays under the same names; nothing in it is executed.

    Raises:
      UserError: when it is not such a checkpoint, or refers to what is not read.
    """
    foreign.refuse(path)
    if path.suffix in (".npz", ".safetensors"):
        return Checkpoint(_exported(path), {}, 0)
    data = load(path)
    if not isinstance(data, dict) or not isinstance(data.get("agent"), dict):
        keys = ", ".join(map(str, data)) if isinstance(data, dict) else type(data).__name__
        hint = nearest("agent", map(str, data)) if isinstance(data, dict) else ""
        raise UserError(f"{path}: expected a dictionary with `agent`, got {keys[:200]}{hint}")
    params: Arrays = {}
    moments: dict[str, Moments] = {}
    for name, value in data["agent"].items():
        match = _OPTIMIZER.fullmatch(str(name))
        if match:
            adam = _find_adam(value) if match[2] == "state" else None
            if adam is not None:
                moments[match[1]] = _moments(adam, f"{path}: {name}")
        elif isinstance(value, np.ndarray | float | int):
            params[str(name)] = np.asarray(value)
        else:
            raise UserError(f"{path}: {name} is a {type(value).__name__}, expected an array")
    if not params:
        raise UserError(f"{path}: `agent` holds no variables")
    step = data.get("step", 0)
    if not isinstance(step, int | float | np.ndarray) or np.size(step) != 1 or not step >= 0:
        raise UserError(f"{path}: `step` must be a number, got {str(step)[:80]}")
    return Checkpoint(params, moments, int(step))


def convert(agent: Agent, saved: Checkpoint, seed: int) -> tuple[TrainState, list[str]]:
    """Builds the train state of a checkpoint of an agent of the same sizes.

    Returns:
      The state, and the names of the optimizers whose moments were not there and restart.

    Raises:
      UserError: naming each variable that is missing, surplus, or of another shape.
    """
    state = import_params(agent, saved.params, seed)
    fresh = []
    for name in OPTIMIZERS:
        if name in saved.moments:
            adam = saved.moments[name]
            moments = {"mu": adam.mu, "nu": adam.nu}
            state = import_moments(state, name, adam.count, moments)
        else:
            fresh.append(name)
    return state, fresh


def _exported(path: Path) -> Arrays:
    if path.suffix == ".npz":
        return read_npz(path)
    try:
        return files.decode(path.read_bytes(), path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _find_adam(value: Any, depth: int = 0) -> InertState | None:
    """The state of Adam in the nested tuples of an optax chain, or None."""
    if isinstance(value, InertState) and value.name == "ScaleByAdamState":
        return value
    if isinstance(value, tuple | list) and depth < 10 and len(value) < 100:
        states = [adam for item in value if (adam := _find_adam(item, depth + 1)) is not None]
        return states[0] if states else None
    return None


def _moments(adam: InertState, where: str) -> Moments:
    if len(adam) != 3 or not all(isinstance(part, Mapping) for part in adam[1:]):
        raise UserError(f"{where}: expected ScaleByAdamState(count, mu, nu) with dictionaries")
    count, mu, nu = adam
    for part in (mu, nu):
        wrong = [name for name, value in part.items() if not isinstance(value, np.ndarray)]
        if wrong:
            raise UserError(f"{where}: the moment of {wrong[0]} is not an array")
    if np.size(count) != 1:
        raise UserError(f"{where}: the count of ScaleByAdamState is not a number")
    return Moments(int(np.asarray(count).item()), _named(mu), _named(nu))


def _named(part: Mapping[Any, np.ndarray]) -> Arrays:
    return {str(name): value for name, value in part.items()}
