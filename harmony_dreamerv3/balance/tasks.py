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

    Args:
      losses: loss name -> weight inside the group, finite and not negative.
      regularizer: factor of the log(1 + σ) of `harmony` (and of the log σ of
        `harmony_unrectified`). 1 is HarmonyDream Eq. 5; the released code gives the dynamics
        task α = dyn / (dyn + rep).
      dims: number of scalars that the loss sums over (H·W·C for an image). Only `uncertainty`
        looks at it.
      fixed: the weight that the task keeps under every method, or None to have it balanced.

    Raises:
      BalanceError: on a value outside these ranges.
    """

    losses: Mapping[str, float]
    regularizer: float = 1.0
    dims: int = 1
    fixed: float | None = None

    def __post_init__(self) -> None:
        if not self.losses:
            raise BalanceError(
                "A task needs at least one loss: {loss name: weight inside the task}."
            )
        for name, weight in self.losses.items():
            check_number(f"the weight of loss {name!r} inside its task", weight, minimum=0.0)
        check_number("the regularizer of a task", self.regularizer, minimum=0.0)
        if self.regularizer == 0:
            raise BalanceError(
                "The regularizer of a task must be above 0: σ has no optimum without."
            )
        if isinstance(self.dims, bool) or not isinstance(self.dims, int) or self.dims < 1:
            raise BalanceError(
                f"The dims of a task must be an integer of at least 1, not {self.dims}"
            )
        if self.fixed is not None:
            check_number("the fixed weight of a task", self.fixed, minimum=0.0)


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


def check_number(what: str, value: float, minimum: float) -> None:
    """Raises BalanceError unless `value`, called `what`, is finite and at least `minimum`."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and minimum <= value <= sys.float_info.max):  # Not a number is neither.
        raise BalanceError(f"Expected {what} to be a finite number >= {minimum:g}, not {value!r}.")
