"""Environments of one's own, made by a function that a dotted path names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from embodied.core import dotted
from embodied.core.errors import UserError


def is_own(task: str) -> bool:
    """Returns whether a task of the suite `gym` is meant as a path: ids end with a version."""
    return ":" in task and not re.search(r"-v\d+$", task)


def create(task: str, seed: int, arguments: Mapping[str, Any]) -> Any:
    """Calls what a path names and returns the environment that it makes.

    Args:
      task: `package.module:function` or `package.module:function/level`; the level is the first
        argument of the function.
      seed: passed as `seed` where the function takes it.
      arguments: further keyword arguments.

    Raises:
      UserError: when the path names nothing that can be called so, or no environment comes.
    """
    path, slash, level = task.partition("/")
    function = dotted.resolve(path)
    if not callable(function):
        raise UserError(f"{task}: {path} is {function!r}, expected a function or class")
    given: dict[str, Any] = dict(arguments)
    try:
        signature = inspect.signature(function)
    except ValueError:  # Some built-in classes have none.
        signature = inspect.Signature()
    anything = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    if "seed" in signature.parameters or anything:
        given = {"seed": seed, **given}
    levels = [level] if slash else []
    try:
        signature.bind(*levels, **given)
    except TypeError as error:
        raise UserError(
            f"{task}: {path}{signature} cannot be called with {levels} and {given}: {error}; the "
            f"first argument is written {path}/ARGUMENT, others --env.gym.kwargs '{{name: value}}'"
        ) from error
    env = function(*levels, **given)
    spaces = ("obs_space", "act_space") if hasattr(env, "obs_space") else _GYMNASIUM
    lacks = [name for name in (*spaces, "step") if not hasattr(env, name)]
    if lacks:
        raise UserError(
            f"{task}: {path} returned {type(env).__name__}, which lacks {', '.join(lacks)}; "
            "expected a Gymnasium environment, or one with obs_space, act_space and step"
        )
    return env


_GYMNASIUM = ("observation_space", "action_space", "reset")
