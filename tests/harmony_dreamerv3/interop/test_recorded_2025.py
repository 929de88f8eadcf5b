"""Bundles of 2025 that describe no agent, or whose batches do not fit it."""

import json
from pathlib import Path

import numpy as np
import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3.interop import parity

GOLDEN = Path(__file__).parents[2] / "golden" / "v2025"


def test_broken_bundles_are_named(tmp_path):
    with np.load(GOLDEN / "nocontext.npz") as archive:
        arrays = dict(archive)

    def check(message, drop="", **changes):
        meta = {**json.loads(str(arrays["meta"])), **changes}
        path = tmp_path / "b.npz"
        kept = {k: v for k, v in arrays.items() if k != drop}
        np.savez(path, **{**kept, "meta": np.array(json.dumps(meta))})
        with pytest.raises(UserError, match=message):
            parity.check(path)

    check("the bundle's batch lacks 'height'", drop="batch/height")
    check("missing: dyn/dyngru/bias", drop="params/dyn/dyngru/bias")
    check("meta.updates: expected 1 to 9, got 0", updates=0)
    check("meta.policy_steps: expected two steps below 8", policy_steps=[3, 99])
    check("no config block 'atari100m'.*atari100k", configs=["atari100m"])
    check("no config key 'agent.horizn'.*agent.horizon", overrides={"agent.horizn": 3})
    check("agent.repval_loss: only True", overrides={"agent.repval_loss": False})
    check("matches no config key", overrides={r".*\.nothing": 3})
    check(
        "expected a vector or a scalar of classes",
        act_space={"action": {"shape": [2, 2], "dtype": "float32"}},
    )
