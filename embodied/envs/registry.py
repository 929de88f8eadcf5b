"""From a task's name and a block of options to an environment."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from embodied.core.env import Env
from embodied.core.errors import UserError, nearest
from embodied.core.rng import derive_seed
from embodied.stepping.parallel import ProcessEnv
from embodied.stepping.wrappers import CheckedEnv

_SUITES = ("atari", "catch", "distract", "dmc", "dummy", "gym", "metaworld")


@dataclasses.dataclass(frozen=True)
class Suite:
    """A family of tasks that share their options.

    Args:
      name: what stands before the first underscore of a task.
      options: frozen dataclass of settings, all with defaults.
      tasks: returns the tasks that can be named beforehand; empty when any name may do.
      make: `make(task, seed, options)` returns the environment; imports what it needs itself.
    """

    name: str
    options: type[Any]
    tasks: Callable[[], tuple[str, ...]]
    make: Callable[[str, int, Any], Env]


def suites() -> dict[str, Suite]:
    """Returns every suite by name; no simulator is imported for it."""
    found = {}
    for name in _SUITES:
        module = importlib.import_module(f"embodied.envs.{name}")
        found[name] = Suite(name, module.Options, module.tasks, module.make)
    return found


def tasks(suite: str) -> tuple[str, ...]:
    """Returns the tasks of a suite as `make` takes them, such as `atari_pong`.

    Args:
      suite: such as `atari`.

    Raises:
      UserError: when there is no such suite.
    """
    return tuple(f"{suite}_{task}" for task in _suite(suite).tasks())


def make(task: str, seed: int, options: Mapping[str, Any] | None = None) -> CheckedEnv:
    """Returns an environment that checks everything it gives and takes.

    Args:
      task: `<suite>_<name>`, such as `atari_pong`, `gym_CartPole-v1`, `dmc_walker_walk`.
      seed: of everything random in it; 0 or more. Equal seeds give equal trajectories.
      options: the block `env.<suite>` of the config; what is left out has its default.

    Raises:
      UserError: unknown suite, task or option (naming the nearest), a value of the wrong type, a
        package that is not installed, rendering that is impossible here.
    """
    name, found, rest = task.partition("_")
    if not found or not rest:
        raise UserError(
            f"expected a task '<suite>_<name>', got {task!r}{nearest(task, _all_tasks())}"
        )
    suite = _suite(name, task)
    known = suite.tasks()
    if known and rest not in known:
        raise UserError(
            f"unknown task {task!r}{nearest(task, tasks(name))} ({name} has {len(known)} tasks)"
        )
    env = suite.make(rest, int(seed), parse_options(suite, options or {}))
    return CheckedEnv(env, task)


def make_process(
    task: str,
    seed: int,
    options: Mapping[str, Any] | None = None,
    timeout: float = 60.0,
) -> ProcessEnv:
    """Returns an environment like `make`, in a process of its own that is restarted on faults.

    Args:
      task: as in `make`.
      seed: as in `make`; after each restart the environment has another seed made from it.
      options: as in `make`.
      timeout: seconds that a step may take before it counts as hanging.

    Raises:
      UserError: as in `make`.
    """
    start = functools.partial(_restarted, task, int(seed), dict(options or {}))
    return ProcessEnv(start, task, timeout)


def _restarted(task: str, seed: int, options: Mapping[str, Any], restarts: int) -> CheckedEnv:
    # The same seed would play the same episodes again, into the same fault if it repeats.
    return make(task, derive_seed(seed, restarts) if restarts else seed, options)


def parse_options(suite: Suite, options: Mapping[str, Any]) -> Any:
    """Returns the suite's dataclass from a plain mapping.

    Args:
      suite: whose options they are.
      options: scalars by name; integral floats pass for integers, integers for floats.

    Raises:
      UserError: for an unknown name (with the nearest) or a value of the wrong type.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(suite.options)}
    values = {}
    for key, value in options.items():
        path = f"env.{suite.name}.{key}"
        if key not in defaults:
            raise UserError(f"unknown option {path}{nearest(key, defaults)}")
        kind = type(defaults[key])
        whole = isinstance(value, int | float) and not isinstance(value, bool)
        if type(value) is kind:
            values[key] = value
        elif whole and (kind is float or (kind is int and float(value).is_integer())):
            values[key] = kind(value)
        else:
            raise UserError(f"{path} must be of type {kind.__name__}, got {value!r}")
    return suite.options(**values)


def _suite(name: str, task: str | None = None) -> Suite:
    found = suites()
    if name not in found:
        hint = nearest(name, found) or (nearest(task, _all_tasks()) if task else "")
        raise UserError(f"unknown suite {name!r}{hint} (suites: {', '.join(found)})")
    return found[name]


def _all_tasks() -> list[str]:
    return [f"{suite}_{task}" for suite, entry in suites().items() for task in entry.tasks()]
