"""From the configuration's task groups to a balancer over an agent's losses."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from embodied.core.errors import UserError, nearest
from harmony_dreamerv3 import balance, optim
from harmony_dreamerv3.config import BalanceConfig
from harmony_dreamerv3.config.dreamerv3 import OptConfig


@dataclasses.dataclass(frozen=True)
class Losses:
    """What a balancer needs to know of an agent's losses.

    Args:
      scales: every loss, in order, to its weight in the baseline.
      groups: names that stand for several losses in a task, such as `image` and `vector`.
      dims: loss to the number of scalars it sums over; 1 for those left out.
      own: keys of the configuration, such as `loss_scales.reward`, to scales that have no effect
        under a method that weighs tasks itself.
    """

    scales: Mapping[str, float]
    groups: Mapping[str, tuple[str, ...]]
    dims: Mapping[str, int]
    own: Mapping[str, float]

    @property
    def alpha(self) -> float:
        """KL balance α of HarmonyDream Eq. 15: dyn / (dyn + rep)."""
        dyn, rep = self.scales["dyn"], self.scales["rep"]
        if not dyn + rep > 0:
            raise UserError(f"expected loss_scales.dyn + loss_scales.rep > 0, got {dyn} and {rep}")
        return dyn / (dyn + rep)


def describe(
    images: Mapping[str, tuple[int, ...]],
    vectors: Mapping[str, tuple[int, ...]],
    scales: Mapping[str, float],
) -> Losses:
    """The losses of a decoder of images and vectors of these shapes, and further ones.

    `scales` are `loss_scales`: `image` is for every image, `vector` for every vector, and each
    other name is that of a further loss.
    """
    weights = dict.fromkeys(images, scales["image"]) | dict.fromkeys(vectors, scales["vector"])
    weights |= {name: scale for name, scale in scales.items() if name not in ("image", "vector")}
    return Losses(
        scales=weights,
        groups={"image": tuple(images), "vector": tuple(vectors)},
        dims={name: math.prod(shape) for name, shape in {**images, **vectors}.items()},
        own={f"loss_scales.{k}": v for k, v in scales.items() if k not in ("dyn", "rep")},
    )


def make_balancer(config: BalanceConfig, losses: Losses) -> balance.Balancer:
    """Builds the balancer of the configuration.

    Raises:
      UserError: for a wrong method or option, a scale without effect, or a task of no loss.
    """
    for name in config.weights:
        if name not in config.tasks:
            raise UserError(f"balance.weights names no task {name!r}{nearest(name, config.tasks)}")
    for key, scale in losses.own.items():
        if config.method != "fixed" and scale != 1.0:
            raise UserError(
                f"{key} must stay 1 under balance.method {config.method}, which weighs tasks "
                "itself. Set balance.weights.<task> to hold a task at a weight, or only "
                "loss_scales.dyn and loss_scales.rep, which act through alpha"
            )
    options = dict(config.options)
    if config.init != "one" and config.method != "fixed":
        options.setdefault("init", config.init)
    try:
        tasks = make_tasks(config, losses)
        balance.check_tasks(tasks, losses.scales)
        return balance.make(config.method, tasks, **options)
    except balance.BalanceError as error:
        raise UserError(str(error)) from error


def make_tasks(config: BalanceConfig, losses: Losses) -> dict[str, balance.Task]:
    """Resolves groups (`image`, `vector`, alpha) into tasks over real loss names.

    Under `fixed`, losses inside a task weigh their loss scale (the DreamerV3 baseline) times the
    task's own number for them, and tasks weigh `balance.weights` (1 where none is given).
    """
    alpha, fixed = losses.alpha, config.method == "fixed"
    words = {"alpha": alpha, "1-alpha": 1.0 - alpha}
    tasks: dict[str, balance.Task] = {}
    for name, members in config.tasks.items():
        weights: dict[str, float] = {}
        for member, weight in members.items():
            for loss in _expand(member, losses, config):
                inner = float(words.get(str(weight).replace(" ", ""), weight))
                if fixed:  # A number is a unit under every method; alpha is in the scales.
                    inner = losses.scales[loss] * (1.0 if isinstance(weight, str) else inner)
                weights[loss] = inner
        if not weights:
            continue
        dynamics = {"dyn", "rep"} <= set(weights)
        released = dynamics and config.dyn_regularizer == "released"
        held_at = config.weights.get(name, 1.0 if fixed else None)
        tasks[name] = balance.Task(
            weights,
            regularizer=alpha if released else 1.0,
            # dyn and rep are two gradients of one KL, hence one scalar.
            dims=sum(losses.dims.get(k, 1) for k in weights if not (dynamics and k == "rep")),
            fixed=None if held_at is None else float(held_at),
        )
    owned = {loss for task in tasks.values() for loss in task.losses}
    for loss in losses.scales:
        if loss not in owned:
            if loss in tasks:
                raise UserError(
                    f"balance.tasks.{loss} has the name of a loss that no task lists; give the "
                    "task another name"
                )
            tasks[loss] = balance.Task({loss: 1.0}, fixed=losses.scales[loss])
    return tasks


def with_balance(
    optimizer: optax.GradientTransformationExtraArgs, config: BalanceConfig
) -> optax.GradientTransformationExtraArgs:
    """Returns what trains `{'balance': ..., <the model>: ...}`.

    Args:
      optimizer: of the model. It trains the balancer's parameters, too, as the released code
        does, unless these have a learning rate of their own.
      config: `lr` above 0 gives them Adam without clipping, and leaves them out of the norm by
        which the model's gradient is clipped.
    """
    if not config.lr:
        return optimizer
    own = optim.make(OptConfig(lr=config.lr, eps=1e-8, clip=math.inf))

    def parts(tree: Mapping[str, Any]) -> tuple[Any, Any]:
        return {k: v for k, v in tree.items() if k != "balance"}, tree["balance"]

    def init(params: Any) -> dict[str, Any]:
        model, weights = parts(params)
        return {"model": optimizer.init(model), "balance": own.init(weights)}

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        (model, weights), now = parts(grads), parts(params)
        model, model_state = optimizer.update(model, state["model"], now[0], **extra)
        weights, own_state = own.update(weights, state["balance"], now[1], **extra)
        return {**model, "balance": weights}, {"model": model_state, "balance": own_state}

    return optax.GradientTransformationExtraArgs(init, update)


def balanced(
    balancer: balance.Balancer,
    weights: Any,
    state: Any,
    losses: Callable[[Any], tuple[Mapping[str, jax.Array], Mapping[str, Any]]],
    params: Mapping[str, Any],
) -> tuple[jax.Array, dict[str, Any]]:
    """Adds up a model's losses as the balancer weighs them.

    Args:
      balancer: does so.
      weights: what it learns.
      state: what else it keeps, before the update.
      losses: of parameters of the model, by name, and what led to them.
      params: of the model by part; the tasks' gradients are taken at `encoder` and `rssm`.

    Returns:
      A scalar; what led to the losses, and `losses`, `balance` (the state after), `metrics`.
    """
    values, aux = losses(params)
    fixed = jax.lax.stop_gradient(params)
    shared = {name: fixed[name] for name in ("encoder", "rssm")}
    grads = functools.partial(
        task_grads, balancer, lambda shared: losses({**fixed, **shared})[0], shared
    )
    after = balancer.update(state, jax.lax.stop_gradient(values), grads)  # Called if need be.
    total, metrics = balancer.apply(weights, after, values)
    return total, {**aux, "losses": values, "balance": after, "metrics": metrics}


def task_grads(
    balancer: balance.Balancer, losses: Callable[[Any], Mapping[str, jax.Array]], shared: Any
) -> Any:
    """Gradients by shared parameters of the K tasks that are not held fixed.

    Args:
      balancer: gives the tasks.
      losses: shared parameters to losses by name.
      shared: the parameters.

    Returns:
      A pytree like `shared`, leaves `[K, ...]` in the order of the tasks.
    """

    def stacked(shared: Any) -> jax.Array:
        values = balancer.task_losses(losses(shared))
        return jnp.stack([values[name] for name in balancer.free_names])

    return jax.jacrev(stacked)(shared)


def _expand(member: str, losses: Losses, config: BalanceConfig) -> tuple[str, ...]:
    """Losses that a member of a task stands for."""
    group = losses.groups.get(member)
    if member == "image" and group is not None and not config.vectors:
        # The released code harmonizes only the decoder key of this very name.
        return tuple(name for name in group if name == "image")
    if member == "vector" and group is not None:
        return group if config.vectors or config.method == "fixed" else ()
    if group is not None:
        return group
    if member not in losses.scales:
        known = ", ".join(losses.scales)
        hint = nearest(member, [*losses.scales, *losses.groups])
        raise UserError(f"balance.tasks names no loss {member!r}; there are {known}{hint}")
    return (member,)
