"""Environments of the caller's own process, in the place of a task."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any

from embodied.core.env import Env
from embodied.core.errors import EnvError, UserError, raised
from embodied.envs._tools import gym_state
from embodied.envs.gym import Gym, Options
from embodied.stepping.wrappers import CheckedEnv

MakeEnv = Callable[[int, int, int], Env]


def name(env: Any) -> str:
    """The task that a run on an environment is filed under, such as `gym_CartPole-v1`."""
    spec = getattr(env, "spec", None)
    if spec is not None:
        return f"gym_{spec.id}"
    word = getattr(env, "__name__", None) or type(env).__name__
    return f"gym_{word.strip('<>')}"


def maker(env: Any, options: Options, evaluation: bool = False) -> MakeEnv:
    """Returns what makes environments from (member, index, seed).

    Args:
      env: a Gymnasium environment, which training steps itself and never closes, and evaluations
        step in copies; or a function without arguments that makes one.
      options: see `embodied.envs.gym.Options`.
      evaluation: for evaluations.
    """
    task = name(env)

    def another() -> Any:
        if not hasattr(env, "step"):
            try:
                return env()
            except (UserError, KeyboardInterrupt):
                raise
            except BaseException as error:  # A foreign function raises whatever it likes.
                raise EnvError(f"cannot make {task}: {raised(error)}") from error
        try:
            return copy.deepcopy(env)
        except Exception as error:
            raise UserError(
                f"{task}: a further environment is needed, and this one cannot be copied "
                f"({type(error).__name__}: {error}); give a function that makes environments, or "
                "set run.eval_every 0 and run.envs 1"
            ) from error

    def make(member: int, index: int, seed: int) -> Env:
        own = hasattr(env, "step") and not evaluation and member == index == 0
        if hasattr(env, "obs_space"):
            return CheckedEnv(_Borrowed(env) if own else another(), task)
        kind = _BorrowedGym if own else Gym
        found = kind(env if own else another(), seed, task, options)
        # Without a copy to try it on, episodes that were cut short by a stop begin again.
        with contextlib.suppress(UserError):
            found.savable = gym_state.can_save(
                found, lambda: Gym(another(), seed + 1, task, options)
            )
        return CheckedEnv(found, task)

    return make


class _BorrowedGym(Gym):
    """A Gymnasium environment that only its owner closes."""

    def close(self) -> None:
        """Leaves it open."""


class _Borrowed:
    """The same for what has our own contract."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def __getattr__(self, key: str) -> Any:
        return getattr(self._env, key)

    def close(self) -> None:
        """Leaves it open."""
