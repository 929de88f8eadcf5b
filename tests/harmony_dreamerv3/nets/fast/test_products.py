"""Products whose derivative by the kernel is one product, against those of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.nets import fast

RNG = np.random.default_rng(0)


def both(x, kernel, dy):
    y, pull = jax.vjp(fast.matmul, x, kernel)
    return y, pull(dy)


def test_derivatives_by_hand():
    x, kernel = jnp.array([[1.0, 2.0]]), jnp.array([[3.0], [4.0]])
    y, (by_x, by_kernel) = both(x, kernel, jnp.array([[10.0]]))
    assert y.tolist() == [[11]]
    np.testing.assert_array_equal(by_x, [[30, 40]])
    np.testing.assert_array_equal(by_kernel, [[10], [20]])


@pytest.mark.parametrize("lead", [(), (4,), (2, 3)])
def test_values_and_derivatives_are_the_plain_ones(lead):
    with jax.enable_x64(True):
        shapes = ((*lead, 5), (5, 6), (*lead, 6))
        args = [jnp.asarray(RNG.normal(size=shape)) for shape in shapes]
        actual, expected = both(*args), fast.plain(both)(*args)
        for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-14)


def test_the_derivative_by_the_kernel_is_not_transposed():
    args = jnp.ones((4, 5)), jnp.ones((5, 6)), jnp.ones((4, 6))

    def last(function):
        """The operation that computes the derivative by the kernel."""
        jaxpr = jax.make_jaxpr(lambda *args: function(*args)[1][1])(*args).jaxpr
        (equation,) = (e for e in jaxpr.eqns if e.outvars == jaxpr.outvars)
        return equation.primitive.name

    assert (last(both), last(fast.plain(both))) == ("dot_general", "transpose")
