"""Return normalisation by hand and against the formulas."""

import jax.numpy as jnp
import numpy as np
import pytest
import reference as ref

from harmony_dreamerv3 import normalize
from harmony_dreamerv3.config.dreamerv3 import RetnormConfig

CONFIG = RetnormConfig(decay=0.99, max=1.0, perclo=5.0, perchi=95.0)


def test_percentiles_are_interpolated_and_averages_start_at_zero():
    # Of 0..100 the percentiles are 5 and 95; the averages move one hundredth from zero.
    state = normalize.ReturnScale.zeros(jnp.float32)
    state = normalize.update(state, jnp.arange(101.0).reshape(101, 1), CONFIG)
    np.testing.assert_allclose(state, (0.05, 0.95), rtol=1e-6)
    assert normalize.offset_and_scale(state, CONFIG)[1] == 1.0


def test_against_the_formula():
    rng = np.random.default_rng(0)
    state, expected = normalize.ReturnScale(jnp.float32(-2), jnp.float32(7)), (-2.0, 7.0)
    for _ in range(3):
        returns = rng.normal(size=(5, 7)).astype(np.float32) * 30
        state = normalize.update(state, jnp.asarray(returns), CONFIG)
        expected = ref.return_scale(*expected, returns.astype(np.float64))
    np.testing.assert_allclose(state, expected, rtol=1e-5)
    low, scale = normalize.offset_and_scale(state, CONFIG)
    assert float(low) == pytest.approx(expected[0], rel=1e-5)
    assert float(scale) == pytest.approx(expected[1] - expected[0], rel=1e-5)
