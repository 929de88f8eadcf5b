"""Whether environments work on this machine; for the verb `doctor`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from embodied.core.errors import UserError
from embodied.envs import atari
from embodied.envs._tools import registry


def checks() -> list[tuple[str, bool, str]]:
    """Tries the environments and returns (what was checked, whether it works, detail or remedy)."""
    tried: list[tuple[str, Callable[[], str]]] = [
        ("Atari ROMs", _roms),
        ("Atari actions change the screen", _actions),
        ("Gymnasium", _gymnasium),
        ("MuJoCo rendering", _rendering),
    ]
    results = []
    for name, check in tried:
        try:
            results.append((name, True, check()))
        except Exception as error:  # A broken installation fails with anything.
            detail = str(error) if isinstance(error, UserError) else f"{error!r}"
            results.append((name, False, detail))
    return results


def actions_matter(game: str, steps: int = 200) -> bool:
    """Returns whether acting and doing nothing lead to different screens from one state.

    An emulator whose `act` silently does nothing passes every test of shapes and leaves the agent
    at the score of standing still.
    """
    env = registry.make(f"atari_{game}", 0)
    space = env.act_space["action"]
    idle = np.eye(space.shape[0], dtype=np.float32)[0]
    env.step(idle)
    start = env.save()
    assert start is not None
    rng = np.random.default_rng(0)
    screens = []
    for actions in ([idle] * steps, [space.sample(rng) for _ in range(steps)]):
        env.load(start)
        screens.append(np.stack([env.step(action)["image"] for action in actions]))
    env.close()
    return bool((screens[0] != screens[1]).any())


def _roms() -> str:
    for game in atari.BENCHMARK:
        atari.rom(game)
    return f"all {len(atari.BENCHMARK)} games of Atari 100K"


def _actions() -> str:
    if not actions_matter("pong"):
        raise UserError("the screen of Pong does not depend on the actions: try ale-py 0.12.1")
    return "in Pong"


def _gymnasium() -> str:
    env = registry.make("gym_CartPole-v1", 0)
    env.step(np.array([1, 0], np.float32))
    env.close()
    return "CartPole-v1 starts"


def _rendering() -> str:
    env = registry.make("dmc_cartpole_swingup", 0)
    image = env.step(np.zeros(1, np.float32))["image"]
    env.close()
    if image.min() == image.max():
        raise UserError("the rendered image has one colour; try another MUJOCO_GL (egl, osmesa)")
    return "cartpole at 64x64"
