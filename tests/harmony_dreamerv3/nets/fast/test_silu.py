"""SiLU and its derivative against those of JAX."""

import jax
import jax.numpy as jnp
import numpy as np

from harmony_dreamerv3.nets import fast


def both(x):
    y, pull = jax.vjp(fast.silu, x)
    return y, pull(jnp.ones_like(x))[0]


def test_values_by_hand():
    np.testing.assert_allclose(fast.silu(jnp.array([0.0, np.log(3.0)])), [0, 0.75 * np.log(3)])


def test_values_and_derivatives_are_the_plain_ones_up_to_where_exponentials_overflow():
    x = jnp.asarray([-1e4, -200.0, -30.0, -1.0, 0.0, 0.5, 40.0, 1e4])
    for a, b in zip(both(x), fast.plain(both)(x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-30)
