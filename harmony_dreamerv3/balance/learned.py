"""Weights learned by gradient descent: the harmonizers of HarmonyDream and uncertainty weighting.

Each task has one trained scalar, log σ less where it started, and contributes
L·exp(-s) + penalty(s) to the total, with s = log σ. With the option `init` `one` all σ start at 1,
with `first_loss` at the optimum for the losses of the first `update`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from harmony_dreamerv3.balance import balancer
from harmony_dreamerv3.balance.balancer import Balancer, Params, Scalars, State, Terms
from harmony_dreamerv3.balance.tasks import Task, full, nearest, require

# Below this, log σ* would run to -inf for a loss of zero.
SMALLEST_LOSS = 1e-30
SMALLEST_START = 1e-8  # A first loss of zero counts as this, as under `reciprocal`.
INITS = ("one", "first_loss")


def harmony(tasks: Mapping[str, Task], *, init: str = "one") -> Balancer:
    """Rectified harmonious loss: L/σ + c·log(1 + σ), with c the task's `regularizer`.

    At the optimum σ* = (L + sqrt(L² + 4cL)) / 2c; for c = 1 the weighted loss is
    2 / (1 + sqrt(1 + 4/L)) < 1, so a small loss never gets a weight of more than 1/sqrt(L).

    Source: HarmonyDream (Ma et al., ICML 2024), Eq. 5 and Eq. 12-13. Tasks that are fixed give
    the ablation of App. E.4 (w_d = 1).
    """

    def penalty(task: Task, s: jax.Array) -> jax.Array:
        # softplus(s) = log(1 + exp(s)) without the overflow of exp(s).
        return task.regularizer * jax.nn.softplus(s)

    def log_optimum(task: Task, loss: jax.Array) -> jax.Array:
        root = jnp.sqrt(1 + 4 * task.regularizer / loss)  # L² would overflow
        return jnp.log(loss) + jnp.log1p(root) - jnp.log(2 * task.regularizer)

    return _learned(tasks, penalty, log_optimum, init)


def harmony_unrectified(tasks: Mapping[str, Task], *, init: str = "one") -> Balancer:
    """Harmonious loss before rectification: L/σ + c·log σ, with optimum σ* = L/c.

    Source: HarmonyDream Eq. 4, Prop. 3.1 and the ablation of App. E.3.
    """
    return _logarithmic(tasks, lambda task: task.regularizer, init)


def uncertainty(tasks: Mapping[str, Task], *, init: str = "one") -> Balancer:
    """Uncertainty weighting for each scalar: L/σ + dims·log σ, with optimum σ* = L/dims.

    Source: Kendall et al. (CVPR 2018), in the form of HarmonyDream App. D.2, where all pixels
    share one σ and `dims` = H·W·C.
    """
    return _logarithmic(tasks, lambda task: task.dims, init)


def _logarithmic(tasks: Mapping[str, Task], factor: Callable[[Task], float], init: str) -> Balancer:
    """L/σ + c·log σ, with c the `factor` of a task."""
    return _learned(
        tasks,
        lambda task, s: factor(task) * s,
        lambda task, loss: jnp.log(loss) - jnp.log(factor(task)),
        init,
    )


def _learned(
    tasks: Mapping[str, Task],
    penalty: Callable[[Task, jax.Array], jax.Array],
    log_optimum: Callable[[Task, jax.Array], jax.Array],
    init: str,
) -> Balancer:
    require(
        init in INITS,
        f"The init of learned weights is one of {', '.join(INITS)}, not {init!r}"
        f"{nearest(init, INITS)}",
    )
    free = balancer.free_names(tasks)
    first_loss = init == "first_loss"

    def start() -> tuple[Params, State]:
        # What is trained starts at 0 in any case; `offset` adds the optimum once it is known, so
        # that no trained parameter needs to be overwritten.
        zeros = {name: jnp.zeros((), jnp.float32) for name in free}
        state = {"offset": dict(zeros), "started": jnp.zeros((), bool)}
        return {"log_sigma": zeros}, state if first_loss else {}

    def measure(state: State, losses: jax.Array, task_grads: Any) -> State:
        offset = {}
        for name, loss in zip(free, losses):
            star = log_optimum(tasks[name], jnp.maximum(loss, SMALLEST_START))
            offset[name] = jnp.where(state["started"], state["offset"][name], star)
        return {"offset": offset, "started": jnp.ones((), bool)}

    def terms(params: Params, state: State, losses: Scalars) -> Terms:
        weights, metrics, total = {}, {}, jnp.float32(0)
        for name, loss in losses.items():
            s = full(params["log_sigma"][name])
            if first_loss:
                s = s + state["offset"][name].astype(s.dtype)
            weights[name] = jnp.exp(-s)
            total = total + penalty(tasks[name], s)
            metrics[f"log_sigma/{name}"] = s
            positive = jnp.maximum(jax.lax.stop_gradient(loss), SMALLEST_LOSS)
            metrics[f"log_sigma_star/{name}"] = log_optimum(tasks[name], positive)
        return Terms(weights, total, metrics)

    return balancer.assemble(tasks, start, terms, measure if first_loss else None)
