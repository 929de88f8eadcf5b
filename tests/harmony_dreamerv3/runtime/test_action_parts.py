"""Actions of several parts: the 2025 base trains and acts with them, the others refuse."""

import numpy as np
import pytest

from embodied.core.env import STANDARD_SPACES
from embodied.core.errors import UserError
from embodied.core.space import Space
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.runtime.runtime import Runtime

CHOICE, PUSH = Space(np.float32, (3,), 0, 1, discrete=True), Space(np.float32, (2,), -1, 1)
ACTION = Space.joined([CHOICE, PUSH, Space(np.float32, (2,), 0, 1, discrete=True)])
OBS = {**STANDARD_SPACES, "vector": Space(np.float32, (4,))}


def test_other_bases_refuse():
    with pytest.raises(UserError, match=r"actions of 3 parts \(one-hot float32 \(3,\).*_2025 does"):
        Runtime(configs.make(["debug"]), OBS, {"action": ACTION}, [0])


def test_the_2025_base_acts_and_trains():
    made = configs.make(["debug_2025"])
    runtime = Runtime(made, OBS, {"action": ACTION}, [0])
    rows = 64
    obs = {key: np.zeros((1, rows, *space.shape), space.dtype) for key, space in OBS.items()}
    obs["is_first"][:] = True
    _, action = runtime.act(runtime.initial_carry(rows), obs, (0,), "train")
    drawn = ACTION.drawn()
    for row in action[0]:
        drawn.check("action", row)  # One-hot where it has to be.
    # All choices of the first part come up, and the push is no choice.
    assert action[0, :, :3].any(0).all() and len(np.unique(action[0, :, 3])) == rows
    rng = np.random.default_rng(0)
    size = (made.batch_size, made.run.replay_context + made.batch_length)
    batch = {key: np.zeros((*size, *space.shape), space.dtype) for key, space in OBS.items()}
    batch |= {
        key: np.zeros((*size, *space.shape), space.dtype)
        for key, space in runtime.agent.stored_space.items()
    }
    batch["action"] = np.stack(
        [[ACTION.sample(rng) for _ in range(size[1])] for _ in range(size[0])]
    )
    runtime.train([batch])
    names, values = runtime.drain()
    assert np.isfinite(values).all() and any("entropy" in name for name in names)
