"""Affine layers, and heads with one output or several."""

import jax
import jax.numpy as jnp
import numpy as np

from harmony_dreamerv3.nets.layers_v2 import Head, Mlp, fan_in_uniform


def test_fan_in_uniform():
    draws = fan_in_uniform(16)(jax.random.key(0), (1000,))
    assert 0.249 < np.abs(draws).max() <= 0.25


def test_mlp_is_affine_then_elu():
    x = jnp.array([[1.0, -2.0]])
    kernel = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    params = {"h0": {"kernel": kernel, "bias": jnp.array([0.5, 0.0])}}
    out = Mlp(1, 2).apply({"params": params}, x)
    np.testing.assert_allclose(out, [[1.5, np.expm1(-2.0)]], rtol=1e-6)


def test_head_gives_what_it_is_asked_for():
    feat = jnp.ones((2, 3, 4))
    scalar = Head(1, 5, {"out": 0})
    variables = scalar.init(jax.random.key(0), feat)
    assert scalar.apply(variables, feat).shape == (2, 3)
    pair = Head(0, 5, {"out": 2, "std": 2})
    variables = pair.init(jax.random.key(0), feat)
    assert [x.shape for x in pair.apply(variables, feat)] == [(2, 3, 2)] * 2
