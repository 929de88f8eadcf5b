"""The 2025 agent that a bundle describes, and what it reads of the bundle's batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from embodied.core.errors import UserError, nearest
from embodied.core.space import Space
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.agents.dreamerv3_2025 import Agent
from harmony_dreamerv3.interop import upstream_2025
from harmony_dreamerv3.interop.bundle import FLAGS, Arrays, shape_of

MAX_IMAGINED = 1 << 30  # numbers in an imagined trajectory


def build(meta: Mapping[str, Any]) -> Agent:
    """Builds the agent that a bundle's `meta` describes.

    Draws are modes, and Gaussian ones mean + `gaussian_offset` deviations.

    Raises:
      UserError: for a configuration that does not exist or is not implemented.
    """
    sampling, offset = meta.get("sampling", "mode"), meta.get("gaussian_offset", 0.0)
    if sampling != "mode" or not isinstance(offset, int | float):
        raise UserError(
            f"meta.sampling is {sampling!r}, meta.gaussian_offset {offset!r}; only bundles whose "
            "draws are modes ('mode'), and at a number of deviations, can be compared"
        )
    flags = upstream_2025.translate(meta["configs"], meta["overrides"])
    fixed = {"base": "dreamerv3_2025", "jax.precision": "float32", "balance.method": "fixed"}
    config = configs.make((), {**flags, **fixed})
    # Losses are added one by one; groups change nothing but rounding.
    config = dataclasses.replace(config, balance=dataclasses.replace(config.balance, tasks={}))
    obs = {key: observation(key, space) for key, space in meta["obs_space"].items()}
    for key in ("reward", *FLAGS):
        if key not in obs or obs[key].shape:
            raise UserError(f"meta.obs_space must have the scalar {key!r}")
    actions = {str(key): action(key, space) for key, space in meta["act_space"].items()}
    if not actions:
        raise UserError("meta.act_space is empty")
    return Agent(config, obs, actions, sampling=False, gaussian_offset=float(offset))


def observation(key: str, space: Mapping[str, Any]) -> Space:
    """Our space of an observation; integers have an upper bound by their number of classes."""
    shape = shape_of(space, f"obs_space.{key}")
    return Space(space["dtype"], shape, high=_classes(space, f"obs_space.{key}", -1))


def action(key: str, space: Any) -> Space:
    """Our space of an action: one-hot for a scalar of classes, else a vector."""
    name = f"act_space.{key}"
    shape, count = shape_of(space, name), _classes(space, name, 0)
    if len(shape) != (0 if count else 1):
        raise UserError(f"meta.{name}: expected a vector or a scalar of classes, got {space}")
    return Space(np.float32, (count,) if count else shape, discrete=bool(count))


def _classes(space: Mapping[str, Any], name: str, add: int) -> int | None:
    """The number of values of a discrete space, plus `add`; None for others."""
    count = space.get("classes")
    if count is not None and not (type(count) is int and 0 < count < 2**16):
        raise UserError(f"meta.{name}.classes: expected a number below 65536, got {count!r}")
    return None if count is None else count + add


def check_batch(agent: Agent, batch: Mapping[str, np.ndarray], name: str) -> Arrays:
    """Returns what updates and policy read of a batch, `[B, C + T, ...]`, actions one-hot.

    Raises:
      UserError: for a key that is missing or has another shape or kind of numbers.
    """
    spaces: dict[str, Space] = {**agent.obs_space, **agent.stored_space}
    spaces |= {k: Space(np.int64) if s.discrete else s for k, s in agent.act_space.items()}
    if agent.config.run.consec_train > 1:
        spaces["consec"] = Space(np.int32)
    out: Arrays = {}
    rows = (agent.config.batch_size, agent.context + agent.config.batch_length)
    for key, space in spaces.items():
        if key not in batch:
            raise UserError(f"the bundle's {name} lacks {key!r}{nearest(key, batch)}")
        value, shape = batch[key], (*rows, *space.shape)
        if value.shape != shape or not np.can_cast(value.dtype, space.dtype, "same_kind"):
            raise UserError(
                f"{name}/{key}: expected {space.dtype} {list(shape)}, got {value.dtype} "
                f"{list(value.shape)}"
            )
        out[key] = value.astype(space.dtype)
    for key, space in agent.act_space.items():
        if space.discrete:
            count = space.shape[0]
            if out[key].min() < 0 or out[key].max() >= count:
                raise UserError(f"{name}/{key}: expected numbers below {count}")
            out[key] = np.eye(count, dtype=np.float32)[out[key]]
    if "consec" in spaces and agent.context:
        # Ours reads from the first step of the context whether a window begins there.
        out["is_first"][:, 0] = out["consec"][:, 0] == 0
    c, numbers = agent.config.agent, rows[0] * rows[1]
    if (c.imag_horizon + 1) * numbers * c.rssm.features > MAX_IMAGINED:
        raise UserError(f"imag_horizon {c.imag_horizon}: more than {MAX_IMAGINED} numbers")
    return {**out, "stepid": batch["stepid"]} if "stepid" in batch else out
