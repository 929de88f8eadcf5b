"""The loss of two-hot heads by hand, and against the one with all log-probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.nets import fast, symexp_twohot
from harmony_dreamerv3.nets.distributions import twohot_bins
from harmony_dreamerv3.nets.fast import twohot

RNG = np.random.default_rng(0)
BINS = {"even": twohot_bins, "symexp": symexp_twohot.bins}


def both(logits, x, bins):
    loss, pull = jax.vjp(lambda logits, x: fast.twohot_loss(logits, x, bins), logits, x)
    return loss, pull(jnp.cos(jnp.arange(1.0, 1 + loss.size, dtype=loss.dtype)).reshape(loss.shape))


def test_loss_and_derivative_by_hand():
    logits = jnp.log(jnp.array([0.2, 0.5, 0.3])) + 7
    loss, (by_logits, _) = both(logits, jnp.array(3.0), jnp.array([0.0, 2.0, 6.0]))
    assert float(loss) == pytest.approx(-0.75 * np.log(0.5) - 0.25 * np.log(0.3), rel=1e-6)
    expected = np.cos(1) * np.array([0.2, 0.5 - 0.75, 0.3 - 0.25])
    np.testing.assert_allclose(by_logits, expected, rtol=1e-5)


@pytest.mark.parametrize("count", [3, 15, 255])
@pytest.mark.parametrize("kind", BINS)
def test_values_and_derivatives_are_the_plain_ones(kind, count):
    with jax.enable_x64(True):
        bins = BINS[kind](count, jnp.float64)
        between = bins[:-1] + RNG.uniform(size=count - 1) * np.diff(bins)
        beyond = jnp.asarray([bins[0] - 1, bins[-1] + 1, -np.inf, np.inf])
        x = jnp.concatenate([bins, between, beyond])
        logits = jnp.asarray(5 * RNG.normal(size=(len(x), count)))
        expected = fast.plain(both)(logits, x, bins)
        split = lambda tree: jax.tree.map(lambda x: x[:, None], tree)  # noqa: E731
        one_by_one = jax.vmap(lambda *args: both(*args, bins))(logits[:, None], x[:, None])
        for a, b in zip(jax.tree.leaves(both(logits, x, bins)), jax.tree.leaves(expected)):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(one_by_one[0], split(expected[0]), rtol=1e-9, atol=1e-9)
        assert not np.any(expected[1][1])  # No gradient to the target.


def test_what_other_devices_compute_is_the_same():
    with jax.enable_x64(True):
        bins = twohot_bins(15, jnp.float64)
        x, z = jnp.asarray(RNG.uniform(-20, 20, 50)), jnp.asarray(RNG.normal(size=(50, 15)))
        np.testing.assert_allclose(
            twohot._look_up(z, x, bins), twohot._add_up(z, x, bins), rtol=1e-12, atol=1e-12
        )


def test_a_target_that_is_no_number_gives_none():
    loss, (by_logits, _) = both(jnp.zeros(15), jnp.array(jnp.nan), twohot_bins(15))
    assert np.isnan(loss) and np.isnan(by_logits).all()
