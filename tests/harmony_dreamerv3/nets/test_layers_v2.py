"""Affine layers, and heads with one output or several."""

import jax
import jax.numpy as jnp
import numpy as np

from embodied.core.space import Space
from harmony_dreamerv3.config.dreamerv2 import ActorConfig, HeadConfig
from harmony_dreamerv3.nets.layers_v2 import Actor, Head, Mlp, fan_in_uniform


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
    scalar = Head(HeadConfig(1, 5))
    variables = scalar.init(jax.random.key(0), feat)
    assert scalar.apply(variables, feat).shape == (2, 3)
    config = ActorConfig(0, 5, dist="trunc_normal", minstd=0.1, draws=1)
    numbers = Actor(config, (Space(np.float32, (2,), -1, 1),))
    policy, variables = numbers.init_with_output(jax.random.key(0), feat)
    assert policy.mean.shape == policy.std.shape == (2, 3, 2)
    assert set(variables["params"]) == {"out", "std"}
    some = Actor(config, (Space(np.float32, (4,), discrete=True), Space(np.float32, (2,), -1, 1)))
    policy, _ = some.init_with_output(jax.random.key(0), feat)
    assert policy.sample(some.noise(jax.random.key(1), (2, 3), jnp.float32)).shape == (2, 3, 6)
