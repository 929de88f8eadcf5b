"""Tasks: named groups of losses that share one weight."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp


class BalanceError(ValueError):
    """A wrong method, option or task; the message says what was expected, and what came."""


def nearest(name: str, options: Iterable[str]) -> str:
    """Returns `; did you mean 'x'?` for the closest option, or the empty string."""
    close = difflib.get_close_matches(str(name), list(options), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


@dataclasses.dataclass(frozen=True)
class Task:
    """A group of losses that is balanced as one.

    Raises:
      BalanceError: on a value outside its range.
    """

    losses: Mapping[str, float]  # loss name -> weight inside the group, finite and not negative
    # Factor of the log(1 + σ) of `harmony` (and of the log σ of `harmony_unrectified`), above 0.
    # 1 is HarmonyDream Eq. 5; the released code gives the dynamics task α = dyn / (dyn + rep).
    regularizer: float = 1.0
    dims: int = 1  # scalars that the loss sums over (H·W·C for an image), for `uncertainty` alone
    fixed: float | None = None  # the weight under every method, or None to have it balanced

    def __post_init__(self) -> None:
        require(self.losses, "A task needs at least one loss: {loss name: weight inside the task}.")
        for name, weight in self.losses.items():
            check_number(f"the weight of loss {name!r} inside its task", weight)
        check_number("the regularizer of a task", self.regularizer)
        require(
            self.regularizer,
            "The regularizer of a task must be above 0: σ has no optimum without.",
        )
        require(
            type(self.dims) is int and self.dims >= 1,
            f"The dims of a task must be an integer of at least 1, not {self.dims}",
        )
        if self.fixed is not None:
            check_number("the fixed weight of a task", self.fixed)


def check_tasks(tasks: Mapping[str, Task], loss_names: Iterable[str] | None = None) -> None:
    """Raises BalanceError for a loss in two tasks, or unless they share out the `loss_names`."""
    owner: dict[str, str] = {}
    for task_name, task in tasks.items():
        for name in task.losses:
            if name in owner:
                raise BalanceError(
                    f"The loss {name!r} is in two tasks, {owner[name]!r} and {task_name!r}; "
                    "remove it from one."
                )
            owner[name] = task_name
    if loss_names is None:
        return
    loss_names = list(loss_names)
    for name, task_name in owner.items():
        if name not in loss_names:
            raise BalanceError(
                f"Task {task_name!r} lists the loss {name!r}, which does not exist"
                f"{nearest(name, loss_names)}. Losses: {', '.join(sorted(loss_names))}."
            )
    missing = sorted(name for name in loss_names if name not in owner)
    if missing:
        raise BalanceError(
            f"In no task: {', '.join(map(repr, missing))}. Add each to a task, or give it a task "
            f"of its own with a fixed weight. Tasks: {', '.join(tasks)}."
        )


def task_losses(tasks: Mapping[str, Task], losses: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """The weighted sum of the means of each task's losses, by name of the task.

    `losses` are arrays of any shape and float dtype, such as [B, T], by name of the loss.
    """
    check_tasks(tasks, losses)
    # In at least float32 whatever the dtype of the loss: bfloat16 sums stop growing at 256 terms.
    arrays = {k: full(jnp.asarray(v)) for k, v in losses.items()}
    # Divided before they are summed: the sum of losses that are finite may not be.
    means = {k: jnp.sum(v / v.size) for k, v in arrays.items()}
    return {
        name: sum((weight * means[k] for k, weight in task.losses.items()), jnp.float32(0))
        for name, task in tasks.items()
    }


def full(x: jax.Array) -> jax.Array:
    """Returns `x` in float32, or in float64 where it is that already."""
    return x if x.dtype == jnp.float64 else x.astype(jnp.float32)


def require(right: object, message: str) -> None:
    """Raises BalanceError with the message unless something is right."""
    if not right:
        raise BalanceError(message)


def check_number(what: str, value: float) -> None:
    """Raises BalanceError unless `value`, called `what`, is finite and not negative."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Not a number is neither.
    right = number and 0 <= value <= sys.float_info.max
    require(right, f"Expected {what} to be a finite number >= 0, not {value!r}.")
