"""Products of inputs in pieces against those of the whole input."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.nets import fast
from harmony_dreamerv3.nets.layers import Dense

RNG = np.random.default_rng(0)


class Pair(nn.Module):
    """Two layers in a loop, one of whose inputs is known before it."""

    ahead: bool
    dtype: Any = jnp.float64

    def setup(self):
        self.join = Dense((4, 3), 5, dtype=self.dtype)
        self.back = Dense((5,), 4, dtype=self.dtype)

    def __call__(self):
        return self.step(jnp.zeros((1, 4)), jnp.zeros((1, 3)))

    def step(self, carry, x):
        return self.back(self.join(carry, x))


def parameters(module):
    with jax.numpy_dtype_promotion("standard"):
        params = module.init(jax.random.key(0))["params"]
    return jax.tree.map(
        lambda x: jnp.asarray(np.asarray(x) + 0.1 * RNG.normal(size=x.shape), module.dtype), params
    )


def repeat(module, params, start, xs):
    variables = fast.prepared(module, params, jnp.float64)
    if module.ahead:
        xs = module.bind(variables).join.project(1, xs)

    def step(variables, carry, x):
        return module.apply(variables, carry, x, method="step"), ()

    return fast.scan(step, variables, start, xs)[0]


@pytest.mark.parametrize("ahead", [False, True])
def test_a_split_product_has_the_value_and_gradients_of_the_whole(ahead):
    with jax.enable_x64(True):
        module = Pair(ahead)
        params = parameters(module)
        start, xs = jnp.asarray(RNG.normal(size=(2, 4))), jnp.asarray(RNG.normal(size=(6, 2, 3)))

        def both(*args):
            y, pull = jax.vjp(lambda *args: repeat(module, *args), *args)
            return y, pull(jnp.asarray(np.cos(np.arange(y.size) + 1.0)).reshape(y.shape))

        actual, expected = both(params, start, xs), fast.plain(both)(params, start, xs)
        for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
        assert all(np.any(x) for x in jax.tree.leaves(actual))


def test_kernels_are_split_before_the_loop_and_whole_in_the_plain_one(monkeypatch):
    monkeypatch.setattr(fast, "normalize", lambda x: x)  # It has products of its own.
    with jax.enable_x64(True):
        module = Pair(True)
        params = parameters(module)
        args = params, jnp.ones((2, 4)), jnp.ones((6, 2, 3))

        def of_the_loop(function):
            jaxpr = jax.make_jaxpr(function)(*args)
            *_, scan = (e for e in jaxpr.eqns if e.primitive.name in ("scan", "custom_vjp_call"))
            return str(scan.params)

        fast_loop = of_the_loop(lambda *args: repeat(module, *args))
        plain_loop = of_the_loop(fast.plain(lambda *args: repeat(module, *args)))
        assert "concatenate" in plain_loop and "concatenate" not in fast_loop
        assert " slice" not in fast_loop
        # One product with the known piece left out, and one of the whole input.
        assert fast_loop.count("dot_general[") == plain_loop.count("dot_general[") == 2


def test_kernels_are_cast_before_the_loop_and_norms_are_not():
    module = Pair(False, jnp.float32)
    params = parameters(module)
    variables = fast.prepared(module, params, jnp.bfloat16)
    assert set(variables) == {"params", "rows"}
    dtypes = jax.tree_util.tree_map_with_path(lambda p, x: x.dtype, variables["params"])
    assert dtypes["join"]["kernel"] == jnp.bfloat16
    assert dtypes["join"]["norm"] == {"scale": jnp.float32, "bias": jnp.float32}
    assert [x.shape for x in variables["rows"]["join"]["kernel"]] == [(4, 5), (3, 5)]
    assert set(fast.plain(fast.prepared)(module, params, jnp.bfloat16)) == {"params"}
