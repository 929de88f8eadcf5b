"""From a task's name and a block of options to an environment."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

import embodied.envs
from embodied.core.env import Env
from embodied.core.errors import EnvError, UserError, nearest, raised
from embodied.envs._tools import elsewhere
from embodied.stepping.wrappers import CheckedEnv


@dataclasses.dataclass(frozen=True)
class Suite:
    """A family of tasks that share their options."""

    name: str  # what stands before the first underscore of a task
    options: type[Any]  # frozen dataclass of settings, all with defaults
    # Returns the tasks that can be named beforehand; empty when only its package knows.
    tasks: Callable[[], tuple[str, ...]]
    # `make(task, seed, options)` returns the environment; imports what it needs itself.
    make: Callable[[str, int, Any], Env]
    installed: Callable[[], tuple[str, ...]]  # returns all tasks, asking the suite's package
    doc: str  # what the suite is, in a line
    note: Callable[[Any], str]  # what a run with these options has to say of them at the start
    package: str  # the module that it imports and that an extra installs; empty for none
    install: str  # what pip calls the extra; empty when nothing more is needed, or pip has it not


def suites() -> dict[str, Suite]:
    """Returns every suite by name, a file of `embodied/envs` each; imports no simulator."""
    entries = {}
    for info in pkgutil.iter_modules(embodied.envs.__path__):
        if not info.name.startswith("_"):
            module: Any = importlib.import_module(f"embodied.envs.{info.name}")
            entries[info.name] = Suite(
                info.name,
                module.Options,
                getattr(module, "tasks", tuple),
                module.make,
                getattr(module, "installed", getattr(module, "tasks", tuple)),
                (module.__doc__ or "").partition("\n")[0],
                getattr(module, "note", lambda options: ""),
                getattr(module, "PACKAGE", ""),
                getattr(module, "INSTALL", ""),
            )
    return entries


def tasks(suite: str) -> tuple[str, ...]:
    """Returns the tasks of a suite as `make` takes them, such as `atari_pong`.

    Raises:
      UserError: when there is no such suite.
    """
    return tuple(f"{suite}_{task}" for task in _suite(suite).tasks())


def suite_of(task: str) -> str:
    """Returns the suite whose options a task takes."""
    return _split(task)[0]


def options_of(task: str, settings: Mapping[str, Any], evaluation: bool = False) -> dict[str, Any]:
    """Returns the options of a task's suite, from the block `env`, as plain data.

    In an `evaluation` the option `eval_split` is taken for `split`, where a suite has them.
    """
    options = _plain(settings.get(_split(task)[0], {}))
    if evaluation and "eval_split" in options:
        options["split"] = options["eval_split"]
    return options


def note(task: str, options: Mapping[str, Any]) -> str:
    """Returns what a run has to say of its environments at the start, mostly nothing."""
    suite = _suite(_split(task)[0])
    return suite.note(parse_options(suite, options))


def make(task: str, seed: int, options: Mapping[str, Any] | None = None) -> CheckedEnv:
    """Returns an environment that checks everything it gives and takes.

    Args:
      task: `<suite>_<name>`, such as `atari_pong`, `gym_CartPole-v1`, `dmc_walker_walk`; or
        `package.module:function/level` of one's own, which takes the options of `gym`.
      seed: of everything random in it; 0 or more. Equal seeds give equal trajectories.
      options: the block `env.<suite>` of the config; what is left out has its default.

    Raises:
      EnvError: the environment's own code raised.
      UserError: unknown suite, task or option (naming the nearest), a value of the wrong type, a
        negative seed, a package that is not installed, rendering that is impossible here.
    """
    name, rest = _split(task)
    suite = _suite(name, task)
    known = suite.tasks()
    if known and rest not in known:
        hint = elsewhere.hint(task) or nearest(task, tasks(name))
        raise UserError(f"unknown task {task!r}{hint} ({name} has {len(known)} tasks)")
    if seed < 0:
        raise UserError(f"expected a seed of 0 or more for {task}, got {seed}")
    settings = parse_options(suite, options or {})
    try:
        return CheckedEnv(suite.make(rest, int(seed), settings), task)
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # A simulator raises whatever it likes.
        raise EnvError(f"cannot make {task}: {raised(error)}") from error


def parse_options(suite: Suite, options: Mapping[str, Any]) -> Any:
    """Returns the suite's dataclass from values by name; 3.0 passes for an integer, 3 for a float.

    Raises:
      UserError: for an unknown name (with the nearest) or a value of the wrong type.
    """
    defaults = vars(suite.options())
    values = {}
    for key, value in options.items():
        path = f"env.{suite.name}.{key}"
        if key not in defaults:
            raise UserError(f"unknown option {path}{nearest(key, defaults)}")
        kind = type(defaults[key])
        whole = isinstance(value, int | float) and not isinstance(value, bool)
        if type(value) is kind or (kind is dict and isinstance(value, Mapping)):
            values[key] = _plain(value)
        elif whole and (kind is float or (kind is int and float(value).is_integer())):
            values[key] = kind(value)
        else:
            raise UserError(f"{path} must be of type {kind.__name__}, got {value!r}")
    return suite.options(**values)


def _plain(value: Any) -> Any:
    """Returns nested mappings as dicts, which can be sent to other processes."""
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _split(task: str) -> tuple[str, str]:
    """Returns the suite of a task and what the suite calls it."""
    name, underscore, rest = task.partition("_")
    if ":" in task and name != "gym":  # A path; Gymnasium has colons in its ids.
        return "gym", task
    if not underscore or not rest:
        hint = elsewhere.hint(task) or nearest(task, _all_tasks())
        raise UserError(f"expected a task '<suite>_<name>', got {task!r}{hint}")
    return name, rest


def _suite(name: str, task: str | None = None) -> Suite:
    every = suites()
    if name not in every:
        hint = elsewhere.hint(task) if task else ""
        hint = hint or nearest(name, every) or (nearest(task, _all_tasks()) if task else "")
        raise UserError(f"unknown suite {name!r}{hint} (suites: {', '.join(every)})")
    return every[name]


def _all_tasks() -> list[str]:
    return [f"{suite}_{task}" for suite, entry in suites().items() for task in entry.tasks()]
