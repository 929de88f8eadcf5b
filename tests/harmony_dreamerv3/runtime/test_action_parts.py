"""Actions of several parts, and masks of what is impossible, under every base."""

import masked_env
import numpy as np
import pytest

from embodied.core.env import STANDARD_SPACES
from embodied.core.space import Space
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.api.training import train
from harmony_dreamerv3.runtime.runtime import Runtime

CHOICE, PUSH = Space(np.float32, (3,), 0, 1, discrete=True), Space(np.float32, (2,), -1, 1)
ACTION = Space.joined([CHOICE, PUSH, Space(np.float32, (2,), 0, 1, discrete=True)])
OBS = {**STANDARD_SPACES, "vector": Space(np.float32, (4,))}
BASES = {
    "dreamerv3": ("debug",),
    "dreamerv2": ("debug_v2",),
    "dreamerv3_2025": ("debug_2025",),
}


@pytest.mark.parametrize("base", BASES)
def test_it_acts_and_trains(base):
    made = configs.make(BASES[base])
    runtime = Runtime(made, OBS, {"action": ACTION}, [0])
    rows = 64
    obs = {key: np.zeros((1, rows, *space.shape), space.dtype) for key, space in OBS.items()}
    obs["is_first"][:] = True
    for mode in ("train", "eval"):
        _, action = runtime.act(runtime.initial_carry(rows), obs, (0,), mode)
        drawn = ACTION.drawn()
        for row in action[0]:
            drawn.check("action", row)  # One-hot where it has to be.
        if mode == "train" or base != "dreamerv2":  # Which evaluates with modes.
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


CASES = [
    ("dreamerv3", "parts"),
    pytest.param("dreamerv3", "info", marks=pytest.mark.slow),
    pytest.param("dreamerv2", "parts", marks=pytest.mark.slow),
    pytest.param("dreamerv3_2025", "parts", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("base", "place"), CASES)
def test_nothing_forbidden_is_done(base, place, tmp_path):
    """Random play, training with two seeds, evaluation; 2,000 steps of the environments."""
    masked_env.STEPS.update(allowed=0, forbidden=0)
    flags = {
        "task": f"masked_env:make/{place}",
        "run.steps": 1200,
        "run.eval_every": 600,
        "run.eval_eps": 10,
        "run.eval_envs": 2,
        "run.report_every": 0,
        "run.train_ratio": 4,
        "run.train_fill": 200,
        "run.video_length": 0,
    }
    config = configs.make(BASES[base], flags)
    result = train(config, seeds=[0, 1], logdir=tmp_path)
    assert result["finished"] and result["updates"]
    # Those of training alone, for evaluations may play in other processes.
    assert masked_env.STEPS["allowed"] >= 2000
    assert place == "parts" or masked_env.STEPS["forbidden"] >= 2000
