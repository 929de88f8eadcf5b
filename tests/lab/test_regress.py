"""Regression of states from latents."""

import numpy as np
import pytest
from tiny import make_agent, spaces

from embodied.core.errors import UserError
from lab import regress


def test_a_state_in_the_latents_is_found_and_noise_is_not():
    rng = np.random.default_rng(0)
    feat = rng.normal(size=(400, 4)).astype(np.float32)
    known = np.stack([3 * feat[:, 0] + 5, np.full(400, 2.0)], -1)
    noise = rng.normal(size=(400, 1))
    target = np.concatenate([known, noise], 1)
    tests = {"held": (feat[300:], target[300:])}
    found = regress.fit(feat[:300], target[:300], tests, 0, 120)["held"]
    first, second, third = found["r2_by_dimension"]
    assert first > 0.8
    assert second is None  # It never changes.
    assert third < 0.3
    assert found["r2"] == pytest.approx((first + third) / 2)


def test_judgement_by_hand():
    found = regress._judge(np.array([[1.0], [1.0]]), np.array([[0.0], [2.0]]))
    assert found == {"mse": 1.0, "r2": 0.0, "r2_by_dimension": [0.0]}
    runs = [{"held": found}, {"held": {"mse": 3.0, "r2": 0.5, "r2_by_dimension": [0.5]}}]
    out = regress.summarize({"a": runs})["a"]["held"]
    assert (out["mse"], out["r2"], out["r2_by_seed"]) == (2.0, 0.25, [0.0, 0.5])


def test_keys_are_the_vectors_that_no_model_sees(make_buffer):
    buffer = make_buffer([9])
    seen = spaces(vectors={"position": 2})
    agents = {"a": make_agent(seen, encoder__mlp_keys="position", decoder__mlp_keys="position")}
    assert regress.state_keys(buffer, agents, []) == ["state"]
    assert regress.state_keys(buffer, agents, ["position"]) == ["position"]
    with pytest.raises(UserError, match="did you mean 'state'"):
        regress.state_keys(buffer, agents, ["stat"])
    del buffer.arrays["state"], buffer.arrays["position"]
    with pytest.raises(UserError, match="no vector at all"):
        regress.state_keys(buffer, agents, ["state"])
