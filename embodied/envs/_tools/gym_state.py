"""The state of a Gymnasium environment: the attributes of it and of its wrappers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from embodied.core.env import Env
from embodied.core.errors import UserError
from embodied.envs._tools import state as states

# Attributes that never change after an environment was made.
_CONSTANT = {"env", "metadata", "spec", "_cached_spec", "reward_range"}


class Layered(Env, Protocol):
    """An environment of Gymnasium's with its wrappers."""

    savable: bool

    def layers(self) -> list[Any]:
        """Returns the wrappers and what they wrap, from outside."""
        ...


def layer_state(layer: Any) -> dict[str, Any]:
    """Returns the changing attributes of one environment or wrapper.

    Raises:
      TypeError: when some attribute is more than plain data, so that the state is not all here.
    """
    import gymnasium

    found: dict[str, Any] = {}
    for key, value in vars(layer).items():
        constant = key in _CONSTANT or isinstance(value, gymnasium.Space) or callable(value)
        if isinstance(value, np.random.Generator):
            found[key] = {"generator": value.bit_generator.state}
        elif not constant:
            found[key] = {"plain": value}
    states.pack(found)
    return found


def set_layer_state(layer: Any, saved: dict[str, Any]) -> None:
    """Puts back what `layer_state` returned.

    Raises:
      UserError: when it would replace what never changes, such as a method.
    """
    for key, entry in saved.items():
        if key in _CONSTANT or callable(getattr(layer, key, None)):
            raise UserError(f"the saved environment state replaces {key!r} of {layer}")
        if "generator" in entry:
            generator = np.random.default_rng(0)
            states.set_rng(generator, entry["generator"])
            setattr(layer, key, generator)
        else:
            setattr(layer, key, entry["plain"])


def can_save(env: Layered, twin: Callable[[], Layered]) -> bool:
    """Returns whether a twin that loads the state goes on exactly alike; tried, not assumed.

    `env` is fresh, and is so again afterwards; `twin` makes one like it, with another seed.
    """
    import gymnasium

    if not all(type(layer).__module__.startswith("gymnasium.") for layer in env.layers()):
        return False  # Code of somebody else's may keep state where we cannot see it.
    other = None
    env.savable = True
    try:
        start = env.save()
        other = twin()
        rng = np.random.default_rng(0)
        for point in range(4):  # Before the first episode, and at three places within.
            data = env.save()
            assert data is not None
            other.load(data)
            for _ in range(1 + 10 * point):
                action = env.act_space["action"].sample(rng)
                ours, theirs = env.step(action), other.step(action)
                if any(not np.array_equal(ours[key], theirs[key]) for key in ours):
                    return False
        assert start is not None
        env.load(start)
        return True
    except (TypeError, AttributeError, UserError, gymnasium.error.Error):
        return False
    finally:
        if other is not None:
            other.close()
