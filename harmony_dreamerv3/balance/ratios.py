"""Weights from the values of the losses, without gradient: fixed, reciprocal, DWA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from harmony_dreamerv3.balance.balancer import Balancer, State, free_names, weighted
from harmony_dreamerv3.balance.tasks import Task, check_number, nearest, require

# What softmax sees: beyond this it is as good as infinite, which softmax would turn into NaN.
LARGEST_RATIO = 1e30
WRONG = "Wrong balance option:"


def fixed(tasks: Mapping[str, Task], *, weights: Mapping[str, float] | None = None) -> Balancer:
    """Constant weights: the sum of w_i·L_i.

    Source: HarmonyDream Eq. 3; Sec. 2.3 and App. E.5 tune w_r in {1, 10, 100} and w_o in {0, 1}.
    A task that is not among the `weights` has 1.
    """
    free = free_names(tasks)
    weights = dict(weights or {})
    for name, weight in weights.items():
        hint = f"{nearest(name, tasks)}. Tasks: {', '.join(tasks)}."
        require(name in tasks, f"No task {name!r} to weigh{hint}")
        require(name in free, f"Task {name!r} has a weight of its own; remove it from the weights.")
        check_number(f"the weight of {name!r}", weight)
    vector = jnp.array([weights.get(name, 1.0) for name in free], jnp.float32)
    return weighted(tasks, {"weight": vector})


def reciprocal(tasks: Mapping[str, Task], *, floor: float = 1e-8) -> Balancer:
    """The reciprocal of the current loss: w_i = sg(1 / L_i).

    Source: HarmonyDream Sec. 3, the "straightforward but suboptimal way". Losses below `floor`
    count as `floor`, so that the weight of a zero loss is finite.
    """
    require(floor > 0, f"{WRONG} the floor of reciprocal must be above 0, not {floor}.")

    def update(state: State, losses: jax.Array, task_grads: Any) -> State:
        return {"weight": 1 / jnp.maximum(losses, floor)}

    return weighted(tasks, {"weight": jnp.ones(len(free_names(tasks)), jnp.float32)}, update)


def dwa(tasks: Mapping[str, Task], *, temperature: float = 2.0, window: int = 1000) -> Balancer:
    """Dynamic weight average: softmax over the rates at which the losses descend.

    w_i = K·softmax_i(r_i / temperature), with r_i the loss of task i in the last full window of
    updates over its loss in the one before; all weights are 1 until two windows are full.

    Source: Liu et al. (CVPR 2019), Eq. 6, with windows of updates in the place of epochs.
    """
    require(temperature > 0, f"{WRONG} the temperature of dwa must be above 0, not {temperature}.")
    require(
        isinstance(window, int) and window >= 1,
        f"{WRONG} the window of dwa must be an integer of at least 1 update, not {window}.",
    )
    count = len(free_names(tasks))
    ones = jnp.ones(count, jnp.float32)

    def update(state: State, losses: jax.Array, task_grads: Any) -> State:
        # The window is closed by the first update after it, so that the weights of an update
        # never depend on its own losses.
        full = state["filled"] == window
        older = jnp.where(full, state["newer"], state["older"])
        newer = jnp.where(full, state["mean"], state["newer"])
        windows = jnp.minimum(state["windows"] + full.astype(jnp.int32), 2)
        filled = jnp.where(full, 0, state["filled"]) + 1
        past = jnp.where(full, 0.0, state["mean"])
        rate = jnp.where(older > 0, newer / jnp.where(older > 0, older, 1), 1.0)
        weight = count * jax.nn.softmax(jnp.minimum(rate / temperature, LARGEST_RATIO))
        return {
            "weight": jnp.where(windows == 2, weight, ones),
            "newer": newer,
            "older": older,
            "mean": past + (losses - past) / filled.astype(jnp.float32),
            "filled": filled,
            "windows": windows,
        }

    zeros, zero = jnp.zeros(count, jnp.float32), jnp.zeros((), jnp.int32)
    state = {"weight": ones, "newer": zeros, "older": zeros, "mean": zeros}
    return weighted(tasks, {**state, "filled": zero, "windows": zero}, update)
