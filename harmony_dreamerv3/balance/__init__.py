"""Loss balancing as a library: many losses in, one total out, by any of seven methods.

Knows nothing of world models and imports only JAX, so that any JAX model can use it; see
docs/balance.md for an example.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from embodied.core.errors import UserError, nearest
from harmony_dreamerv3.balance.balancer import Balancer, free_names
from harmony_dreamerv3.balance.learned import harmony, harmony_unrectified, uncertainty
from harmony_dreamerv3.balance.nash import nashmtl
from harmony_dreamerv3.balance.ratios import dwa, fixed, reciprocal
from harmony_dreamerv3.balance.tasks import Task, check_number, check_tasks, loss_owners

__all__ = ["METHODS", "Balancer", "Task", "check_tasks", "make"]

METHODS: dict[str, Callable[..., Balancer]] = {
    "fixed": fixed,
    "harmony": harmony,
    "harmony_unrectified": harmony_unrectified,
    "uncertainty": uncertainty,
    "dwa": dwa,
    "nashmtl": nashmtl,
    "reciprocal": reciprocal,
}


def make(method: str, tasks: Mapping[str, Task], **options: Any) -> Balancer:
    """Builds the balancer of a method.

    Args:
      method: a key of METHODS.
      tasks: task name -> Task; a task with `fixed` keeps that weight under every method.
      **options: keyword arguments of the method, such as `window` for `dwa`.

    Raises:
      UserError: on an unknown method or option, a wrong value, or a loss in two tasks.
    """
    if method not in METHODS:
        raise UserError(
            f"No balancing method {method!r}{nearest(method, METHODS)}. "
            f"Methods: {', '.join(METHODS)}."
        )
    check_options(method, options)
    if not tasks:
        raise UserError("Nothing to balance: give at least one task.")
    loss_owners(tasks)
    balancer = METHODS[method](tasks, **options)
    # With nothing left to balance every method is the constant one, which needs no gradients.
    return balancer if free_names(tasks) else fixed(tasks)


def check_options(method: str, options: Mapping[str, Any]) -> None:
    """Raises UserError for an option that a method lacks, or no number where it takes one."""
    defaults = {k: v.default for k, v in inspect.signature(METHODS[method]).parameters.items()}
    known = [name for name, default in defaults.items() if default is not inspect.Parameter.empty]
    for option, value in options.items():
        if option not in known:
            raise UserError(
                f"The balancing method {method!r} has no option {option!r}"
                f"{nearest(option, known)}. Options: {', '.join(known) or 'none'}."
            )
        if isinstance(defaults[option], int | float):
            check_number(f"the option {option!r} of {method}", value, minimum=0.0)
        if isinstance(defaults[option], str) and not isinstance(value, str):
            raise UserError(f"Expected the option {option!r} of {method} as text, not {value!r}.")
        if defaults[option] is None and not isinstance(value, Mapping):
            raise UserError(f"Expected a mapping as option {option!r} of {method}, not {value!r}.")
