"""AGC, LaProp, weight decay and warm-up by hand and against a loop in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.agents import laprop
from harmony_dreamerv3.config.dreamerv3_2025 import LaPropConfig

PLAIN = {
    "lr": 0.1, "warmup": 0, "agc": 0.0, "wd": 0.0, "beta1": 0.9, "beta2": 0.999, "eps": 1e-20
}  # fmt: skip


def tree(kernel, bias):
    return {"a": {"kernel": jnp.array(kernel, jnp.float32), "bias": jnp.array(bias, jnp.float32)}}


def steps(config, params, grads, finite=None):
    optimizer = laprop.make(LaPropConfig(**{**PLAIN, **config}))
    state, out = optimizer.init(params), []
    for i, grad in enumerate(grads):
        alive = True if finite is None else jnp.array(finite[i])
        updates, state = optimizer.update(grad, state, params, finite=alive)
        params = jax.tree.map(jnp.add, params, updates)
        out.append(updates["a"])
    return out, state, params


def test_the_first_step_is_the_sign():
    grads = [tree([[2.0, -1e-6]], [0.0, 3e8])]
    out, _, _ = steps({}, tree([[1.0, 1.0]], [0.0, 0.0]), grads)
    np.testing.assert_allclose(out[0]["kernel"], [[-0.1, 0.1]], rtol=1e-5)
    np.testing.assert_allclose(out[0]["bias"], [0.0, -0.1], rtol=1e-5)


def test_clipping_is_by_the_norm_of_a_whole_tensor():
    # |p| = 5, so that |g| may be 1.5; of a bias of zeros 0.3e-3.
    grads = [tree([[30.0, 40.0]], [0.3, 0.4])]
    _, state, _ = steps({"agc": 0.3, "beta2": 0.5}, tree([[3.0, 4.0]], [0.0, 0.0]), grads)
    np.testing.assert_allclose(state.nu["a"]["kernel"], [[0.5 * 0.9**2, 0.5 * 1.2**2]], rtol=1e-5)
    np.testing.assert_allclose(state.nu["a"]["bias"], [0.5 * 1.8e-4**2, 0.5 * 2.4e-4**2], rtol=1e-5)
    small = [tree([[0.3, 0.4]], [0.0, 0.0])]
    _, state, _ = steps({"agc": 0.3, "beta2": 0.5}, tree([[3.0, 4.0]], [0.0, 0.0]), small)
    np.testing.assert_allclose(state.nu["a"]["kernel"], [[0.5 * 0.09, 0.5 * 0.16]], rtol=1e-5)


def test_steps_equal_a_loop():
    rng = np.random.default_rng(0)
    grads = [rng.normal(size=(3, 2)) for _ in range(6)]
    config = {"lr": 0.01, "warmup": 4, "wd": 0.05, "beta1": 0.8, "beta2": 0.99}
    params = rng.normal(size=(3, 2))
    _, _, ours = steps(config, tree(params, [0.0]), [tree(g, [0.0]) for g in grads])
    m = v = np.zeros((3, 2))
    for t, g in enumerate(grads, 1):
        v = 0.99 * v + 0.01 * g**2
        m = 0.8 * m + 0.2 * g / np.sqrt(v / (1 - 0.99**t))
        rate = 0.01 * min(t - 1, 4) / 4
        params = params - rate * (m / (1 - 0.8**t) + 0.05 * params)
    np.testing.assert_allclose(ours["a"]["kernel"], params, rtol=1e-5)


def test_weights_decay_by_name_and_warm_up_begins_at_zero():
    zero = tree([[0.0, 0.0]], [0.0, 0.0])
    out, _, _ = steps({"wd": 0.5, "warmup": 2}, tree([[2.0, 4.0]], [6.0, 8.0]), [zero] * 3)
    np.testing.assert_array_equal(out[0]["kernel"], [[0.0, 0.0]])
    np.testing.assert_allclose(out[1]["kernel"], [[-0.05, -0.1]], rtol=1e-6)
    np.testing.assert_allclose(out[2]["kernel"], [[-0.1 * 0.5 * 1.95, -0.1 * 0.5 * 3.9]], rtol=1e-6)
    assert not any(np.asarray(each["bias"]).any() for each in out)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_it_stands_still_where_gradients_are_not_finite(bad):
    good, params = tree([[1.0, 2.0]], [1.0, 2.0]), tree([[1.0, 1.0]], [1.0, 1.0])
    _, before, _ = steps({"agc": 0.3}, params, [good])
    out, after, _ = steps({"agc": 0.3}, params, [good, tree([[bad, 1.0]], [0.0, 0.0])], [1, 0])
    assert not np.asarray(out[1]["kernel"]).any() and int(after.steps) == 1
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after)):
        np.testing.assert_array_equal(a, b)
