"""Moving statistics by hand."""

import jax.numpy as jnp
import pytest

from harmony_dreamerv3.agents import moving_norm
from harmony_dreamerv3.config.dreamerv3_2025 import NormConfig


def make(**changes):
    plain = {"impl": "perc", "rate": 0.1, "limit": 1.0, "perclo": 0.0, "perchi": 50.0}
    return NormConfig(**{**plain, "debias": False, **changes})


X = jnp.array([[-3.0, 1.0], [5.0, 9.0]])  # Least -3, median 3, mean 3, mean of squares 29.


def test_percentiles_without_debiasing_begin_small():
    config = make()
    state = moving_norm.update(moving_norm.init(config, jnp.float32), X, config)
    assert float(state["lo"]) == pytest.approx(-0.3) and float(state["hi"]) == pytest.approx(0.3)
    offset, scale = moving_norm.stats(state, config)
    assert (float(offset), float(scale)) == (pytest.approx(-0.3), 1.0)  # At least the limit.
    state = moving_norm.update(state, 10 * X, config)
    assert float(state["hi"]) == pytest.approx(0.9 * 0.3 + 0.1 * 30)
    assert float(moving_norm.stats(state, config)[1]) == pytest.approx(3.27 * 2)


def test_debiased_mean_and_deviation_are_those_of_the_first_batch():
    config = make(impl="meanstd", debias=True, limit=1e-8)
    state = moving_norm.init(config, jnp.float32)
    assert [float(x) for x in moving_norm.stats(state, config)] == [0.0, pytest.approx(1e-8)]
    state = moving_norm.update(state, X, config)
    offset, scale = moving_norm.stats(state, config)
    assert float(offset) == pytest.approx(3.0) and float(scale) == pytest.approx(20**0.5)


def test_none_has_no_state():
    config = make(impl="none")
    state = moving_norm.init(config, jnp.float32)
    assert state == {} == moving_norm.update(state, X, config)
    assert moving_norm.stats(state, config) == (0.0, 1.0)
