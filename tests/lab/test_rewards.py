"""Errors of predicted rewards and their intervals."""

import numpy as np
import pytest

from embodied.core.errors import UserError
from lab import rewards


def test_scale_of_sparse_and_dense_rewards():
    sparse = rewards.scale(np.array([0, 0, 0, 2, 0, -0.5]), None)
    assert (sparse.tolerance, sparse.sparse, sparse.mean) == (0.25, True, 0.25)
    dense = rewards.scale(np.array([1.0, 3.0]), None)
    assert (dense.tolerance, dense.sparse) == (0.5, False)
    assert rewards.scale(np.zeros(5), None).tolerance == 0.5
    assert rewards.scale(np.zeros(5), 0.1).tolerance == 0.1
    with pytest.raises(UserError, match="above 0"):
        rewards.scale(np.zeros(5), -1.0)


def test_errors_precision_and_recall_by_hand():
    true = np.array([[9.0, 1.0, 0.0], [9.0, 0.0, 1.0]])  # The first step is observed.
    guess = np.array([[[8.0, 0.9, 0.8], [9.0, 0.0, 0.2]]])
    given = rewards.Scale(0.5, True, 0.5)
    out = rewards.summarize(true, {"a": guess, "b": guess + 0.1}, 1, np.array([0, 1]), given)
    found = out["methods"]["a"]
    assert found["mse"]["mean"] == pytest.approx((0.01 + 0.64 + 0 + 0.64) / 4)
    assert [step["mean"] for step in found["mse_by_step"]] == pytest.approx([0.005, 0.64])
    assert found["rewarding_mse"]["mean"] == pytest.approx((0.01 + 0.64) / 2)
    assert found["unrewarding_mse"]["mean"] == pytest.approx(0.64 / 2)
    # Reward is said at 0.9 and 0.8, and is there at 0.9 and at 0.2.
    assert found["precision"]["mean"] == found["recall"]["mean"] == 0.5
    assert found["right"]["mean"] == 0.5
    assert found["observed_mse"]["mean"] == 0.5
    assert out["rewarding_steps"] == 2
    assert out["constant"]["mse"]["mean"] == 0.25
    gap = out["methods"]["b"]["mse_minus_a"]["mean"]
    assert gap == pytest.approx(out["methods"]["b"]["mse"]["mean"] - found["mse"]["mean"])


def test_dense_rewards_have_no_precision():
    true = np.arange(6.0).reshape(2, 3)
    given = rewards.scale(true, None)
    found = rewards.summarize(true, {"a": true[None]}, 1, np.array([0, 1]), given)
    assert found["methods"]["a"]["mse"]["mean"] == 0
    assert "precision" not in found["methods"]["a"]
    assert found["rewarding_steps"] is None
