"""DreamerV2 agents of a few hundred parameters."""

from typing import Any

import numpy as np
from tiny import spaces

from embodied.core.space import Space
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.agents.dreamerv2 import Agent

SIZES = {
    "base": "dreamerv2",
    "rssm.deter": 8,
    "rssm.hidden": 6,
    "rssm.stoch": 3,
    "rssm.classes": 4,
    r".*\.cnn_depth": 2,
    r".*\.layers": 1,
    r".*\.units": 6,
    r".*\.mlp_layers": 1,
    r".*\.mlp_units": 6,
    "encoder.kernels": (4, 4),
    "decoder.kernels": (5, 8),
    "prototypes.count": 5,
    "prototypes.dim": 3,
    "actor.draws": 3,
    "imag_horizon": 3,
    "discount": 0.9,
}
PRO = {
    "observation": "prototypes",
    "rssm.classes": 0,
    "decoder.cnn_keys": "$^",
    "decoder.mlp_keys": "$^",
    "predict_discount": False,
    "actor.dist": "tanh_normal",
    "start_return": True,
    "balance.tasks": {
        "swav": {"swav": 1.0},
        "temp": {"temp": 1.0},
        "reward": {"reward": 1.0},
        "dynamics": {"dyn": "alpha", "rep": "1-alpha"},
    },
    r".*_opt\.decay": "decoupled",
}


def make_agent(
    obs: dict[str, Space] | None = None,
    discrete: bool = False,
    actions: int = 3,
    sampling: bool = True,
    kind: type[Agent] = Agent,
    action: Space | None = None,
    **flags: Any,
) -> Agent:
    """A tiny agent, of vectors unless given observations; flags with `__` for dots."""
    given = {key.replace("__", "."): value for key, value in flags.items()}
    obs = obs or spaces(vectors={"position": 3, "speed": 2})
    action = action or Space(np.float32, (actions,), discrete=discrete)
    return kind(configs.make((), {**SIZES, **given}), obs, {"action": action}, sampling=sampling)


def make_pro(sampling: bool = True, action: Space | None = None, **flags: Any) -> Agent:
    """A tiny DreamerPro that sees images of 16 by 16."""
    given = {**PRO, **{key.replace("__", "."): value for key, value in flags.items()}}
    return make_agent(spaces(16), sampling=sampling, action=action, **given)
