"""Loops whose derivative is computed for all steps at once, against `lax.scan`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.nets import fast

RNG = np.random.default_rng(0)


def step(weights, carry, x):
    """Two products, a share that is known before, a restart, a draw without gradient."""
    state = jnp.where(x["first"][..., None], weights["start"], carry["state"])
    hidden = jnp.tanh(state @ weights["a"][:4] + x["known"]) * weights["scale"]
    state = jnp.tanh(hidden @ weights["b"].T) + jax.lax.stop_gradient(x["noise"])
    return {"state": state, "count": carry["count"] + state.sum(-1)}, (hidden, state**2)


def arguments():
    weights = {"a": (5, 6), "b": (4, 6), "scale": (6,), "start": (1, 4)}
    weights = {name: RNG.normal(size=shape) for name, shape in weights.items()}
    start = {"state": RNG.normal(size=(3, 4)), "count": RNG.normal(size=3)}
    xs = {"known": RNG.normal(size=(7, 3, 6)), "noise": RNG.normal(size=(7, 3, 4))}
    xs["first"] = RNG.random((7, 3)) < 0.3
    return jax.tree.map(jnp.asarray, (weights, start, xs))


def both(*args):
    """Outputs and gradients of the loop."""
    y, pull = jax.vjp(lambda *args: fast.scan(step, *args), *args)
    by_y = jax.tree.map(lambda y: jnp.asarray(np.cos(np.arange(y.size) + 1.0), y.dtype), y)
    by_y = jax.tree.map(lambda a, y: a.reshape(y.shape), by_y, y)
    grads = jax.tree.leaves(pull(by_y))
    return y, [g for g in grads if g.dtype != jax.dtypes.float0]


@pytest.mark.parametrize("mapped", [False, True])
def test_values_and_gradients_are_those_of_the_scan(mapped):
    with jax.enable_x64(True):
        args = arguments()
        function = both
        if mapped:  # Over learners, all of whose arguments differ.
            args = jax.tree.map(lambda *xs: jnp.stack(xs), args, arguments())
            function = jax.vmap(both)
        actual, expected = jax.jit(function)(*args), jax.jit(fast.plain(function))(*args)
        for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        assert all(np.any(g) for g in actual[1][:6])


def test_bfloat16_stays_within_its_rounding():
    with jax.enable_x64(True):
        args = arguments()
        half = jax.tree.map(lambda x: x.astype(jnp.bfloat16) if x.dtype == float else x, args)
        (_, exact), (_, rounded) = both(*args), both(*half)
    for a, b in zip(rounded, exact, strict=True):
        assert a.dtype == jnp.bfloat16
        b = np.asarray(b)
        np.testing.assert_allclose(np.asarray(a, np.float64), b, atol=0.1 * np.abs(b).max())


def test_the_backward_loop_carries_no_gradient_of_a_weight():
    args = arguments()
    carries = {}
    for name, function in {"fast": both, "plain": fast.plain(both)}.items():
        jaxpr = jax.make_jaxpr(function)(*args)
        *_, loop = (e for e in jaxpr.eqns if e.primitive.name == "scan")
        # What a step returns and the loop hands out with the same shape is carried, not stacked.
        pairs = zip(loop.outvars, loop.params["jaxpr"].out_avals)
        carries[name] = [out.aval.shape for out, step in pairs if out.aval.shape == step.shape]
    assert (4, 6) in carries["plain"]
    assert sorted(carries["fast"]) == [(3,), (3, 4)]


def test_a_loop_of_one_step():
    args = arguments()
    args = (*args[:2], jax.tree.map(lambda x: x[:1], args[2]))
    for a, b in zip(jax.tree.leaves(both(*args)), jax.tree.leaves(fast.plain(both)(*args))):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
