"""What every balancing method has in common: the `Balancer` and its assembly."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from harmony_dreamerv3.balance.tasks import Task, task_losses

Params = dict[str, Any]
State = dict[str, Any]
Losses = Mapping[str, jax.Array]
Scalars = dict[str, jax.Array]


class Balancer(NamedTuple):
    """Pure functions that turn named losses into one, in the manner of optax.

    All of them work under jit, vmap and data parallelism, and hold nothing between calls. Every
    step calls `update`, then differentiates `apply`:

        state = balancer.update(state, losses)
        total, metrics = balancer.apply(params, state, losses)

    Attributes:
      init: () -> (params, state). `params` are float32 scalars to be trained by the optimizer of
        the model (empty for a method that learns nothing); `state` is not trained.
      apply: (params, state, losses) -> (total, metrics). `losses` maps each loss name to an array
        of any shape and float dtype; `total` is a float32 scalar (float64 where losses and params
        are, here and below). Metrics are float32 scalars: `loss/<task>` (raw), `weight/<task>`,
        `weighted/<task>`; with learned weights also `log_sigma/<task>` and
        `log_sigma_star/<task>` (the optimum for this batch).
      update: (state, losses, task_grads=None) -> state, without gradient. `task_grads` is a
        pytree whose leaves have a leading axis [K] of the tasks that are not fixed, in the order
        of `task_names`, or a function that returns it and is called only when it is needed.
      needs_task_grads: whether `update` wants `task_grads`.
      task_names: all tasks, in order.
      free_names: those whose weight the method chooses.
      task_losses: (losses) -> {task: float32 scalar}, before weighting.
    """

    init: Callable[[], tuple[Params, State]]
    apply: Callable[[Params, State, Losses], tuple[jax.Array, Scalars]]
    update: Callable[..., State]
    needs_task_grads: bool
    task_names: tuple[str, ...]
    free_names: tuple[str, ...]
    task_losses: Callable[[Losses], Scalars]


class Terms(NamedTuple):
    """What one method says about the tasks that are not fixed."""

    weights: Scalars  # {task: float32 scalar}
    penalty: jax.Array  # float32 scalar, added to the total
    metrics: Scalars


def assemble(
    tasks: Mapping[str, Task],
    init: Callable[[], tuple[Params, State]],
    terms: Callable[[Params, State, Scalars], Terms],
    update: Callable[[State, jax.Array, Any], State] | None = None,
    needs_task_grads: bool = False,
) -> Balancer:
    """Builds a Balancer from what a method does with its K tasks that are not fixed.

    Args:
      tasks: all tasks; the fixed ones are added here, so no method needs to know of them.
      init, needs_task_grads: see Balancer.
      terms: (params, state, {task: loss}) -> Terms.
      update: (state, losses float32 [K], task_grads) -> state; None: the state never changes.
    """
    free, reduce = free_names(tasks), functools.partial(task_losses, tasks)

    def apply(params: Params, state: State, losses: Losses) -> tuple[jax.Array, Scalars]:
        values = reduce(losses)
        weights, total, extra = terms(params, state, {name: values[name] for name in free})
        metrics = dict(extra)
        for name, value in values.items():
            fixed = tasks[name].fixed
            weight = weights[name] if fixed is None else jnp.asarray(fixed, value.dtype)
            share = weight * value
            total = total + share
            metrics |= {f"loss/{name}": value, f"weight/{name}": weight, f"weighted/{name}": share}
        return total, metrics

    def advance(state: State, losses: Losses, task_grads: Any = None) -> State:
        if update is None:
            return state
        values = reduce(losses)
        vector = jnp.stack([values[name] for name in free]).astype(jnp.float32)
        return jax.lax.stop_gradient(update(state, jax.lax.stop_gradient(vector), task_grads))

    return Balancer(init, apply, advance, needs_task_grads, tuple(tasks), tuple(free), reduce)


def weighted(
    tasks: Mapping[str, Task],
    state: State,
    update: Callable[[State, jax.Array, Any], State] | None = None,
    needs_task_grads: bool = False,
    metrics: tuple[str, ...] = (),
) -> Balancer:
    """Builds a Balancer whose weights are `state['weight']`, float32 [K].

    Args:
      tasks, update, needs_task_grads: see `assemble`.
      state: the first state, with `weight` of the K tasks that are not fixed.
      metrics: names of scalars in the state that `apply` reports.
    """
    free = free_names(tasks)

    def terms(params: Params, state: State, losses: Scalars) -> Terms:
        weights = {name: state["weight"][index] for index, name in enumerate(free)}
        return Terms(weights, jnp.float32(0), {name: state[name] for name in metrics})

    return assemble(tasks, lambda: ({}, dict(state)), terms, update, needs_task_grads)


def free_names(tasks: Mapping[str, Task]) -> tuple[str, ...]:
    """Returns the names of the tasks that are not fixed, in order."""
    return tuple(name for name, task in tasks.items() if task.fixed is None)
