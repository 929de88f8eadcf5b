"""The DreamerV2 agent with what a bundle recorded in the place of its draws, and its state."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from embodied.core.errors import UserError, nearest
from embodied.core.space import Space
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.agents.dreamerv2 import Agent
from harmony_dreamerv3.agents.dreamerv2_frame import TrainState
from harmony_dreamerv3.interop import names_v2, states_v2, upstream_v2
from harmony_dreamerv3.interop.bundle import FLAGS, Arrays, Bundle, shape_of
from harmony_dreamerv3.nets.rssm_v2 import State

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Recorded(Agent):
    """The agent with what a bundle recorded in the place of draws."""

    torch: bool = True  # the bundle is of the torch code, else of DreamerPro
    # `actor_u` `[H, N, A]`: of imagined actions; or `e`: a constant amplitude of all draws.
    noise: Any = None
    carry: Any = None  # the state before the window, or None for zeros
    shifts: Any = None  # `[2 B, 2]` offsets of the views

    def latent_noise(self, key: Any, shape: tuple[int, ...]) -> Array:
        """Zeros, or the recorded wave over the last axis."""
        zeros = jnp.zeros((*shape, *self.net.rssm.latent), self.param_dtype)
        return zeros if self.torch else zeros + self._wave(zeros.shape[-1])

    def action_noise(self, key: Any, shape: tuple[int, ...]) -> Array | None:
        """None for modes, or what was recorded."""
        if self.torch:
            return self.noise if self.noise is not None and len(shape) == 2 else None
        return jnp.broadcast_to(self._wave(self.actions), (*shape, self.actions))

    def entropy_noise(self, key: Any, shape: tuple[int, ...]) -> Array | None:
        """One draw, the recorded one."""
        return None if self.torch else self.action_noise(key, (1, *shape))

    def _wave(self, size: int) -> Array:
        return self.noise * jnp.sin(1.0 + jnp.arange(size, dtype=self.param_dtype))

    def offsets(self, key: Any, rows: int) -> Array:
        """The recorded ones."""
        return self.shifts

    def previous_actions(self, obs: Mapping[str, Array]) -> Array:
        """In bundles an action stands beside the observation that it led to."""
        return obs["action"]

    def resets(self, obs: Mapping[str, Array]) -> Array:
        """DreamerPro's windows have none; those with a carry begin where they say."""
        if not self.torch:
            return jnp.zeros_like(obs["is_first"])
        return obs["is_first"] if self.carry is not None else super().resets(obs)

    def start(self, rows: int) -> State:
        """The recorded state before the window."""
        zeros = super().start(rows)
        return zeros if self.carry is None else {k: jnp.asarray(self.carry[k]) for k in zeros}


def build(bundle: Bundle) -> tuple[Recorded, Recorded]:
    """Builds the agent that a bundle describes, once for each of two updates.

    Raises:
      UserError: for a configuration that is not implemented, or spaces that do not fit it.
    """
    torch = bundle.base == "dreamerv2"
    given = bundle.meta.get("config")
    if not isinstance(given, dict):
        raise UserError("meta.config must be the whole configuration, flat, under its own keys")
    config = configs.make((), {**upstream_v2.flags(given, bundle.base), "jax.precision": "float32"})
    noise: Any
    shifts: list[Any] = [None, None]
    if torch:
        described = bundle.meta["obs_space"]
        spaces = {k: Space(v["dtype"], shape_of(v, k)) for k, v in described.items()}
        act = bundle.meta["act_space"].get("action")
        shape = shape_of(act, "act_space.action")
        action = Space(np.float32, shape, discrete=act.get("discrete") is True)
        noise = bundle.more.get("noise", {}).get("actor_u")
    else:
        missing = [k for k in ("image", "action") if k not in bundle.batch]
        if missing or bundle.batch["image"].ndim != 5 or bundle.batch["action"].ndim != 3:
            raise UserError("the bundle's batch must have image [B, T, H, W, C], action [B, T, A]")
        spaces = {"image": Space(np.uint8, bundle.batch["image"].shape[2:])}
        spaces |= {"reward": Space(np.float32)} | {name: Space(bool) for name in FLAGS}
        action = Space(np.float32, bundle.batch["action"].shape[2:])
        noise = float(bundle.meta.get("eps", 0.0))
        shifts = [bundle.more.get("aug", {}).get(name) for name in ("shift", "shift2")]
        rows = (2 * len(bundle.batch["image"]), 2)
        if any(shift is None or shift.shape != rows for shift in shifts):
            raise UserError(f"the bundle must have aug/shift and aug/shift2 of shape {rows}")
    for key in ("reward", *FLAGS):
        if key not in spaces or spaces[key].shape:
            raise UserError(f"meta.obs_space must have the scalar {key!r}")
    first, second = (
        Recorded(
            config, spaces, {"action": action}, torch=torch, noise=noise,
            carry=bundle.more.get("carry"), shifts=shift,
        )
        for shift in shifts
    )  # fmt: skip
    return first, second


def batch(bundle: Bundle, agent: Recorded) -> Arrays:
    """The bundle's batch in the dtypes of the spaces.

    Raises:
      UserError: for a key that is missing or has another shape or kind of numbers.
    """
    given = dict(bundle.batch)
    if not agent.torch and "reset" in given:  # DreamerPro's tasks never end by themselves.
        given["is_first"] = given.pop("reset")
        given["is_terminal"] = np.zeros_like(given["is_first"])
    spaces: dict[str, Any] = {**agent.obs_space, **agent.act_space}
    checked: Arrays = {}
    for key in agent.batch_keys:
        if key not in given:
            raise UserError(f"the bundle's batch lacks {key!r}{nearest(key, given)}")
        value, lead = given[key], given[agent.batch_keys[0]].shape[:2]
        if value.shape != (*lead, *spaces[key].shape) or len(lead) != 2 or not all(lead):
            raise UserError(
                f"batch/{key}: expected shape [B, T, {', '.join(map(str, spaces[key].shape))}], "
                f"got {list(value.shape)}"
            )
        dtype = np.dtype(spaces[key].dtype)
        if not np.can_cast(value.dtype, dtype, "same_kind"):
            raise UserError(f"batch/{key}: expected {dtype}, got {value.dtype}")
        checked[key] = value.astype(dtype)
    return checked


def _updates(meta: Mapping[str, Any], config: Any) -> int:
    """Our count of updates that does what the bundle's counters do in the next two updates."""
    names = ("slow_target_updates_before", "wm_updates_before", "slow_critic_updates_before")
    counts = {name: meta[name] for name in names if name in meta}
    if not counts or not all(type(n) is int and 0 <= n < 2**30 for n in counts.values()):
        raise UserError(f"meta must have counts of updates, such as {names[0]!r}, got {counts}")
    if names[0] in counts:
        return int(counts[names[0]])
    model, slow = (int(counts.get(name, 0)) for name in names[1:])
    freeze = config.prototypes.freeze
    count = model + (slow - model) % config.slow_critic_every
    for step in range(2):
        same = (model + step < freeze) == (count + step < freeze)
        if not same or (model + step == 0) != (count + step == 0):
            raise UserError(
                f"no one count of updates stands for {names[1]} {model} and {names[2]} {slow}"
            )
    return count


def load(agent: Recorded, naming: names_v2.Naming, bundle: Bundle) -> TrainState:
    """A train state with the bundle's parameters, its optimizers fresh.

    Raises:
      UserError: naming a variable that is missing, surplus, or of another shape.
    """
    updates = _updates(bundle.meta, agent.c)
    skipped = counters(bundle.params)
    params = {name: value for name, value in bundle.params.items() if name not in skipped}
    return states_v2.load(agent, naming, params, updates)


def counters(params: Arrays) -> list[str]:
    """Names of what the torch code saves and we do not: counts of batches, a scale that stays 1."""
    return [name for name in params if name.endswith(("num_batches_tracked", "rewnorm.mag"))]
