"""Methods by name: those of this package, and anyone's by the path of a function."""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from harmony_dreamerv3.balance.balancer import Balancer, free_names
from harmony_dreamerv3.balance.learned import harmony, harmony_unrectified, uncertainty
from harmony_dreamerv3.balance.nash import nashmtl
from harmony_dreamerv3.balance.ratios import dwa, fixed, reciprocal
from harmony_dreamerv3.balance.tasks import (
    BalanceError,
    Task,
    check_number,
    check_tasks,
    nearest,
    require,
)

Method = Callable[..., Balancer]  # (tasks, **options) -> Balancer

METHODS: dict[str, Method] = {
    method.__name__: method
    for method in (fixed, harmony, harmony_unrectified, uncertainty, dwa, nashmtl, reciprocal)
}


def make(method: str, tasks: Mapping[str, Task], **options: Any) -> Balancer:
    """Builds the balancer of a method.

    Args:
      method: a key of METHODS, or `package.module:function` for a function of one's own.
      tasks: task name -> Task; a task with `fixed` keeps that weight under every method.
      **options: keyword arguments of the method, such as `window` for `dwa`.

    Raises:
      BalanceError: on an unknown method or option, a wrong value, or a loss in two tasks.
    """
    function = find(method)
    _check_options(method, function, options)
    require(tasks, "Nothing to balance: give at least one task.")
    check_tasks(tasks)
    if method in METHODS:
        balancer = function(tasks, **options)
    else:
        balancer = _foreign(method, lambda: function(tasks, **options))
        kind = type(balancer).__name__
        message = f"The method {method!r} must return a Balancer, not {kind}."
        require(isinstance(balancer, Balancer), message)
    # With nothing left to balance every method is the constant one, which needs no gradients.
    return balancer if free_names(tasks) else fixed(tasks)


def find(method: str) -> Method:
    """Returns the function that builds a method's balancer; see `make`."""
    if method in METHODS:
        return METHODS[method]
    module_name, colon, name = method.partition(":")
    if not colon:
        raise BalanceError(
            f"No balancing method {method!r}{nearest(method, METHODS)}. "
            f"Methods: {', '.join(METHODS)}, or package.module:function of one's own."
        )
    right = module_name and name and not module_name.startswith(".")
    require(right, f"Expected package.module:function as a method, not {method!r}.")
    module = _foreign(method, lambda: importlib.import_module(module_name))
    function = getattr(module, name, None)
    if function is None:
        public = [key for key in vars(module) if not key.startswith("_")]
        raise BalanceError(
            f"The module {module_name!r} ({getattr(module, '__file__', None) or 'built in'}) has "
            f"no {name!r}{nearest(name, public)}"
        )
    require(callable(function), f"The method {method!r} is no function, but {function!r}.")
    return function


def _check_options(method: str, function: Method, options: Mapping[str, Any]) -> None:
    """Raises BalanceError for an option that a method lacks, or of another type."""
    parameters = _foreign(method, lambda: inspect.signature(function)).parameters
    empty = inspect.Parameter.empty
    defaults = {key: p.default for key, p in parameters.items() if p.default is not empty}
    for option, value in options.items():
        require(
            option in defaults,
            f"The balancing method {method!r} has no option {option!r}"
            f"{nearest(option, defaults)}. Options: {', '.join(defaults) or 'none'}.",
        )
        default = defaults[option]
        if isinstance(default, int | float):
            check_number(f"the option {option!r} of {method}", value)
        if isinstance(default, str):
            text = f"Expected the option {option!r} of {method} as text, not {value!r}."
            require(isinstance(value, str), text)
        if default is None:
            text = f"Expected a mapping as option {option!r} of {method}, not {value!r}."
            require(isinstance(value, Mapping), text)


def _foreign(method: str, call: Callable[[], Any]) -> Any:
    """Calls code of someone else; what it raises becomes a BalanceError that says where."""
    try:
        return call()
    except BalanceError:
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        # Of a syntax error the last frame is Python's own; its message names the line.
        here = "importlib" in frame.filename or isinstance(error, SyntaxError)
        where = "" if here else f", {frame.filename}:{frame.lineno}"
        raise BalanceError(
            f"The balancing method {method!r} cannot be used: {type(error).__name__}: {error}"
            f"{where}"
        ) from error
