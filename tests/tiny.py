"""Agents of a few hundred parameters and batches for them."""

from typing import Any

import numpy as np

from embodied.core.space import Space
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.agents.dreamerv3 import Agent

SIZES = {
    "rssm.deter": 8,
    "rssm.units": 6,
    "rssm.stoch": 3,
    "rssm.classes": 4,
    r".*\.cnn_depth": 2,
    r".*\.units$": 6,
    r".*\.layers": 1,
    r".*\.mlp_layers": 1,
    r".*\.mlp_units": 6,
    "imag_horizon": 3,
    r".*\.bins": 41,
}
# A whole run of seconds, and the same as words of the command line.
RUN = {
    **SIZES,
    "task": "dummy_disc",
    "harmony": True,
    "batch_size": 2,
    "batch_length": 4,
    "run.steps": 24,
    "run.train_fill": 4,
    "run.train_ratio": 1.0,
    "run.eval_every": 0,
    "run.report_every": 0,
    "run.video_length": 0,
    "run.eval_eps": 1,
    "run.eval_envs": 1,
    "env.dummy.image": False,
    "jax.cache": False,
    "jax.device_replay": "False",
}
WORDS = [word for key, value in RUN.items() for word in (f"--{key}", str(value))]
FLAGS = {"is_first": bool, "is_last": bool, "is_terminal": bool}


def spaces(image: int = 0, vectors: dict[str, int] | None = None) -> dict[str, Space]:
    """An image of this size, if any, vectors, and the standard keys."""
    found = {"image": Space(np.uint8, (image, image, 3))} if image else {}
    found |= {k: Space(np.float32, (n,)) for k, n in (vectors or {}).items()}
    found["reward"] = Space(np.float32)
    return found | {key: Space(kind) for key, kind in FLAGS.items()}


def make_config(**flags: Any) -> configs.Config:
    """A tiny configuration; flags with `__` for dots."""
    given = {key.replace("__", "."): value for key, value in flags.items()}
    return configs.make((), {**SIZES, **given})


def make_agent(
    obs: dict[str, Space] | None = None,
    discrete: bool = True,
    actions: int = 3,
    sampling: bool = True,
    **flags: Any,
) -> Agent:
    """A tiny agent, of vectors unless given observations."""
    obs = obs or spaces(vectors={"position": 3, "speed": 2})
    action = Space(np.float32, (actions,), discrete=discrete)
    return Agent(make_config(**flags), obs, {"action": action}, sampling=sampling)


def make_batch(agent: Agent, size: int = 2, length: int = 4, seed: int = 0) -> dict[str, Any]:
    """A random batch `[B, T, ...]` whose windows start episodes."""
    rng = np.random.default_rng(seed)
    batch: dict[str, Any] = {}
    for key, space in agent.obs_space.items():
        shape = (size, length, *space.shape)
        if space.dtype == np.uint8:
            batch[key] = rng.integers(0, 256, shape, np.uint8)
        elif space.dtype == bool:
            batch[key] = np.zeros(shape, bool)
        else:
            batch[key] = rng.normal(size=shape).astype(np.float32)
    batch["is_first"][:, 0] = True
    shape = (size, length, agent.actions)
    if agent.act_space["action"].discrete:
        batch["action"] = np.eye(agent.actions, dtype=np.float32)[
            rng.integers(agent.actions, size=(size, length))
        ]
    else:
        batch["action"] = rng.uniform(-1, 1, shape).astype(np.float32)
    return batch
