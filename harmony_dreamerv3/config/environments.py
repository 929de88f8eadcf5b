"""From the configuration to environments."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import embodied.envs
from embodied.core.env import Env
from embodied.core.space import Space
from harmony_dreamerv3.config.settings import Config


class Spaces(NamedTuple):
    """What an agent needs to know of its environments."""

    obs: Mapping[str, Space]
    act: Mapping[str, Space]
    repeat: int  # frames for each agent step


def maker(config: Config, evaluation: bool = False) -> Callable[[int, int, int], Env]:
    """Returns what makes environments from (member, index, seed); other processes may call it.

    Args:
      config: the configuration.
      evaluation: make those of evaluations, which some suites keep apart.
    """
    options = embodied.envs.options_of(config.task, config.env, evaluation)
    return functools.partial(_open, config.task, options)


def note(config: Config) -> str:
    """Returns what a run has to say of its environments at the start, mostly nothing."""
    return embodied.envs.note(config.task, embodied.envs.options_of(config.task, config.env))


def spaces(make: Callable[[int, int, int], Env]) -> Spaces:
    """Makes an environment, looks at its spaces, and closes it."""
    env = make(0, 0, 0)
    found = Spaces(env.obs_space, env.act_space, env.repeat)
    env.close()
    return found


def _open(task: str, options: dict[str, Any], member: int, index: int, seed: int) -> Env:
    return embodied.envs.make(task, seed, options)
