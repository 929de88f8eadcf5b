"""From the configuration's task groups to a balancer over this world model's losses."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from embodied.core.errors import UserError, nearest
from harmony_dreamerv3 import balance
from harmony_dreamerv3.config import WEIGHT_WORDS, BalanceConfig, Config
from harmony_dreamerv3.config.dreamerv3 import LossScales
from harmony_dreamerv3.world_model import WorldModel

SHARED = ("encoder", "rssm")  # parameters that every task's gradient reaches
REGULARIZERS = ("paper", "released")


def check(config: Config, wm: WorldModel) -> None:
    """Raises UserError where loss scales would have no effect, or tasks name no loss."""
    if config.balance.dyn_regularizer not in REGULARIZERS:
        raise UserError(
            f"balance.dyn_regularizer: expected one of {REGULARIZERS}, "
            f"got {config.balance.dyn_regularizer!r}"
        )
    unused = [k for k in config.balance.weights if k not in config.balance.tasks]
    if unused:
        hint = nearest(unused[0], config.balance.tasks)
        raise UserError(f"balance.weights names no task {unused[0]!r}{hint}")
    if config.balance.method != "fixed":
        for name in ("image", "vector", "reward", "cont"):
            if getattr(config.agent.loss_scales, name) != 1.0:
                raise UserError(
                    f"loss_scales.{name} must stay 1 under balance.method "
                    f"{config.balance.method}, which weighs tasks itself. Set "
                    "balance.weights.<task> to hold a task at a weight, or only "
                    "loss_scales.dyn and loss_scales.rep, which act through alpha"
                )
    balance.check_tasks(make_tasks(config, wm), wm.loss_names)


def make_balancer(config: Config, wm: WorldModel) -> balance.Balancer:
    """Builds the balancer of the configuration."""
    return balance.make(config.balance.method, make_tasks(config, wm), **config.balance.options)


def make_tasks(config: Config, wm: WorldModel) -> dict[str, balance.Task]:
    """Resolves groups (`image`, `vector`, alpha) into tasks over real loss names.

    Under `fixed`, weights inside a task are the loss scales (the DreamerV3 baseline) and tasks
    weigh `balance.weights` (1 where none is given).
    """
    b, alpha = config.balance, dyn_alpha(config.agent.loss_scales)
    fixed = b.method == "fixed"
    made: dict[str, balance.Task] = {}
    for name, members in b.tasks.items():
        losses: dict[str, float] = {}
        for member, weight in members.items():
            for loss in _expand(member, wm, b):
                inner = _weight(weight, alpha)
                if fixed and inner not in (1.0, alpha, 1.0 - alpha):
                    raise UserError(
                        f"balance.tasks.{name}.{member} has no effect under balance.method fixed, "
                        "whose weights inside a task are loss_scales.<loss>; set those instead"
                    )
                scale = scale_of(loss, config.agent.loss_scales, wm)
                losses[loss] = scale if fixed else inner
        if not losses:
            continue
        dynamics = {"dyn", "rep"} <= set(losses)
        released = dynamics and b.dyn_regularizer == "released"
        weight_of_task = b.weights.get(name, 1.0 if fixed else None)
        made[name] = balance.Task(
            losses,
            regularizer=alpha if released else 1.0,
            # dyn and rep are two gradients of one KL, hence one scalar.
            dims=sum(_dims(loss, wm) for loss in losses if not (dynamics and loss == "rep")),
            fixed=None if weight_of_task is None else float(weight_of_task),
        )
    owned = {loss for task in made.values() for loss in task.losses}
    for loss in wm.loss_names:
        if loss not in owned:
            if loss in made:
                raise UserError(
                    f"balance.tasks.{loss} has the name of a loss that no task lists; give the "
                    "task another name"
                )
            made[loss] = balance.Task(
                {loss: 1.0}, fixed=scale_of(loss, config.agent.loss_scales, wm)
            )
    return made


def dyn_alpha(scales: LossScales) -> float:
    """KL balance α of HarmonyDream Eq. 15: dyn / (dyn + rep)."""
    if not scales.dyn + scales.rep > 0:
        raise UserError(
            f"expected loss_scales.dyn + loss_scales.rep > 0, got {scales.dyn} and {scales.rep}"
        )
    return scales.dyn / (scales.dyn + scales.rep)


def scale_of(loss: str, scales: LossScales, wm: WorldModel) -> float:
    """The baseline's weight of a loss."""
    if loss in wm.images:
        return scales.image
    return scales.vector if loss in wm.vectors else float(getattr(scales, loss))


def task_grads(
    balancer: balance.Balancer, wm: WorldModel, params: dict, batch: Any, noise: jax.Array
) -> Any:
    """Gradients of each task that is not held fixed, with respect to the shared parameters.

    Returns:
      A pytree like the shared parameters, leaves `[K, ...]` in the order of the tasks.
    """
    model = params["world_model"]

    def stacked(shared: Any) -> jax.Array:
        losses, _ = wm.losses({**model, **shared}, batch, noise)
        values = balancer.task_losses(losses)
        return jnp.stack([values[name] for name in balancer.free_names])

    return jax.jacrev(stacked)({name: model[name] for name in SHARED})


def _expand(member: str, wm: WorldModel, config: BalanceConfig) -> list[str]:
    """Losses that a member of a task stands for."""
    if member == "image" and not config.vectors:
        # The released code harmonizes only the decoder key of this very name.
        return ["image"] if "image" in wm.images else []
    if member == "image":
        return list(wm.images)
    if member == "vector":
        return list(wm.vectors) if config.vectors or config.method == "fixed" else []
    if member not in wm.loss_names:
        hint = nearest(member, [*wm.loss_names, "image", "vector"])
        known = ", ".join(wm.loss_names)
        raise UserError(f"balance.tasks names no loss {member!r}; there are {known}{hint}")
    return [member]


def _weight(value: float | str, alpha: float) -> float:
    """A weight inside a task; `BalanceConfig` has checked it."""
    words = dict(zip(WEIGHT_WORDS, (alpha, 1.0 - alpha)))
    return words[value.replace(" ", "")] if isinstance(value, str) else float(value)


def _dims(loss: str, wm: WorldModel) -> int:
    return math.prod(wm.images.get(loss) or wm.vectors.get(loss) or (1,))
