"""Symmetric two-hot distributions by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.nets import symexp_twohot as twohot


@pytest.mark.parametrize("count", [3, 15, 255])
def test_bins_are_symmetric_around_an_exact_zero(count):
    bins = np.asarray(twohot.bins(count))
    assert len(bins) == count and bins[count // 2] == 0.0
    np.testing.assert_array_equal(bins, -bins[::-1])
    assert bins[-1] == pytest.approx(np.expm1(20), rel=1e-5) and (np.diff(bins) > 0).all()


def test_uniform_logits_mean_exactly_zero():
    assert float(twohot.mean(jnp.full(255, 0.7))) == 0.0
    assert float(jnp.full(255, 1 / 255) @ twohot.bins(255)) != 0.0  # A plain sum does not.


def test_loss_and_mean_by_hand():
    top = float(np.expm1(20))
    logits = jnp.log(jnp.array([0.2, 0.5, 0.3]))  # Bins -top, 0, top.
    assert float(twohot.mean(logits)) == pytest.approx(0.1 * top, rel=1e-5)
    target = jnp.array([0.25 * top, 0.0, 2 * top, -3 * top])
    loss = twohot.loss(jnp.broadcast_to(logits, (4, 3)), target)
    expected = [
        -0.75 * np.log(0.5) - 0.25 * np.log(0.3), -np.log(0.5), -np.log(0.3), -np.log(0.2)
    ]  # fmt: skip
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
