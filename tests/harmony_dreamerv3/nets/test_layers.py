"""Initializers by their moments and limits, layers by hand and in bfloat16."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.nets.layers import MLP, Dense, Linear, Norm, normal_avg, run, uniform_avg

KEY = jax.random.key(0)
# Shape and the mean of its fans: space counts for both.
KERNELS = [((300, 700), 500.0), ((700, 300), 500.0), ((4, 4, 30, 90), 960.0)]


@pytest.mark.parametrize(("shape", "fan"), KERNELS)
def test_hidden_layers_start_from_a_truncated_normal(shape, fan):
    x = np.asarray(normal_avg(KEY, shape), np.float64)
    assert x.std() == pytest.approx(math.sqrt(1 / fan), rel=0.01)
    assert x.mean() == pytest.approx(0, abs=4 * x.std() / math.sqrt(x.size))
    # Cut at two standard deviations of the normal before it was cut.
    limit = 2 * math.sqrt(1 / fan) / 0.87962566
    assert 0.99 * limit < np.abs(x).max() <= limit * (1 + 1e-6)
    # Not uniform: the middle is denser than the rim.
    assert (np.abs(x) < limit / 4).mean() > 0.35


@pytest.mark.parametrize(("shape", "fan"), KERNELS)
@pytest.mark.parametrize("outscale", [1.0, 0.25])
def test_output_layers_start_uniform(shape, fan, outscale):
    x = np.asarray(uniform_avg(outscale)(KEY, shape), np.float64)
    limit = math.sqrt(3 * outscale / fan)
    assert 0.999 * limit < np.abs(x).max() <= limit * (1 + 1e-6)
    assert x.std() == pytest.approx(limit / math.sqrt(3), rel=0.01)
    assert (np.abs(x) < limit / 4).mean() == pytest.approx(0.25, abs=0.01)


def test_outscale_zero_gives_zeros():
    assert not np.any(uniform_avg(0.0)(KEY, (3, 4)))


def test_each_layer_starts_as_it_should():
    x = jnp.ones((1, 500))
    dense = Dense((200, 300), 500).init(KEY, x[:, :200], x[:, 200:])["params"]
    # The fan-in is that of the whole concatenation.
    assert np.std(dense["kernel"]) == pytest.approx(math.sqrt(1 / 500), rel=0.01)
    assert (dense["norm"]["scale"] == 1).all() and not np.any(dense["norm"]["bias"])
    linear = Linear(500, 0.5).init(KEY, x)["params"]
    assert np.abs(linear["kernel"]).max() == pytest.approx(math.sqrt(1.5 / 500), rel=0.001)
    assert not np.any(linear["bias"])
    assert list(MLP(2, 4).init(KEY, x)["params"]) == ["h0", "h1"]


def test_norm_by_hand():
    x = jnp.array([[1.0, 2.0, 3.0, 6.0]])
    params = {"scale": jnp.array([1.0, 2.0, 1.0, 1.0]), "bias": jnp.array([0.0, 0.0, 5.0, 0.0])}
    std = math.sqrt(3.5 + 1e-3)
    expected = [-2 / std, 2 * -1 / std, 5.0, 3 / std]
    np.testing.assert_allclose(run(Norm(), params, x)[0], expected, rtol=1e-6)


def test_output_layers_do_not_round_their_sums_in_bfloat16():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(64, 300)), jnp.bfloat16)
    params = {
        "kernel": jnp.asarray(rng.normal(size=(300, 20)), jnp.bfloat16).astype(jnp.float32),
        "bias": jnp.full(20, 1e-3, jnp.float32),
    }
    layer = Linear(20, dtype=jnp.bfloat16)
    y, pull = jax.vjp(lambda p, x: run(layer, p, x), params, x)
    exact = np.asarray(x, np.float64) @ np.asarray(params["kernel"], np.float64) + 1e-3
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-4)
    # Rounded to bfloat16 they would be off by up to 0.4%.
    assert np.abs(np.asarray(y.astype(jnp.bfloat16), np.float64) - exact).max() > 0.01
    dy = jnp.asarray(rng.normal(size=y.shape), jnp.float32)
    by_params, by_x = pull(dy)
    assert by_x.dtype == jnp.bfloat16 and by_params["kernel"].dtype == jnp.float32
    np.testing.assert_allclose(by_params["bias"], dy.sum(0), rtol=1e-5)
    expected = np.asarray(x, np.float64).T @ np.asarray(dy, np.float64)
    np.testing.assert_allclose(by_params["kernel"], expected, atol=0.02 * np.abs(expected).max())


def test_output_layers_in_float32_have_the_gradient_of_the_affine_map():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        params = {"kernel": jnp.asarray(rng.normal(size=(5, 3))), "bias": jnp.ones(3)}
        x = jnp.asarray(rng.normal(size=(2, 4, 5)))
        layer = Linear(3, dtype=jnp.float64)
        y, pull = jax.vjp(lambda p, x: run(layer, p, x), params, x)
        expected, plain = jax.vjp(lambda p, x: x @ p["kernel"] + p["bias"], params, x)
        jax.tree.map(np.testing.assert_array_equal, y, expected)
        for a, b in zip(jax.tree.leaves(pull(y)), jax.tree.leaves(plain(y)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)
