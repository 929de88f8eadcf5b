"""Two steps of both optimizers by hand, clipping, and standing still."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.agents import optim_v2
from harmony_dreamerv3.config.dreamerv2 import OptConfig

RATE, EPS, DECAY = 0.1, 1e-2, 0.3


def config(decay: str, clip: float = 100.0) -> OptConfig:
    return OptConfig(RATE, EPS, clip, DECAY, decay)


def run(optimizer, grads, params, finite=True):
    state, history = optimizer.init(params), []
    for grad in grads:
        updates, state = optimizer.update(grad, state, params, finite=finite)
        params = jax.tree.map(jnp.add, params, updates)
        history.append(params)
    return history, state


def by_hand(decay: str, grads: list[float], p: float, clip: float) -> list[float]:
    """Adam in float64, written from the two codes' own formulas."""
    m = v = 0.0
    out = []
    for t, g in enumerate(grads, 1):
        if decay == "coupled":
            g = g * min(1.0, clip / (abs(g) + 1e-6)) + DECAY * p
        else:
            g, p = g * clip / max(abs(g), clip), (1 - DECAY) * p
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        if decay == "coupled":
            p -= RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + EPS)
        else:
            p -= RATE * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + EPS)
        out.append(p)
    return out


@pytest.mark.parametrize("decay", ["coupled", "decoupled"])
@pytest.mark.parametrize("clip", [100.0, 0.5])
def test_steps_by_hand(decay, clip):
    grads = [2.0, -0.01, 0.0]
    history, state = run(
        optim_v2.make(config(decay, clip)), [{"x": jnp.float32(g)} for g in grads], {"x": 1.5}
    )
    expected = by_hand(decay, grads, 1.5, clip)
    np.testing.assert_allclose([p["x"] for p in history], expected, rtol=2e-5)
    assert state.count == 3


def test_the_norm_is_over_all_parameters():
    """3 and 4 have the norm 5; a clip of 1 leaves a fifth of each."""
    grads = {"a": jnp.float32(3.0), "b": jnp.float32(4.0)}
    _, state = run(optim_v2.make(config("decoupled", 1.0)), [grads], {"a": 0.0, "b": 0.0})
    np.testing.assert_allclose([state.mu["a"], state.mu["b"]], [0.06, 0.08], rtol=1e-6)


def test_decoupled_decay_leaves_out_what_it_is_told_to():
    optimizer = optim_v2.make(config("decoupled"), plain=("balance",))
    params = {"balance": {"s": jnp.float32(1.0)}, "model": {"k": jnp.float32(1.0)}}
    history, _ = run(optimizer, [jax.tree.map(jnp.zeros_like, params)], params)
    assert history[0]["balance"]["s"] == 1.0
    np.testing.assert_allclose(history[0]["model"]["k"], 0.7, rtol=1e-6)


@pytest.mark.parametrize("decay", ["coupled", "decoupled"])
def test_stands_still_unless_finite(decay):
    optimizer = optim_v2.make(config(decay))
    params = {"x": jnp.float32(1.5)}
    _, state = run(optimizer, [{"x": jnp.float32(2.0)}], params)
    updates, after = optimizer.update(
        {"x": jnp.float32(np.nan)}, state, params, finite=jnp.asarray(False)
    )
    assert updates["x"] == 0.0
    jax.tree.map(np.testing.assert_array_equal, after, state)


@pytest.mark.parametrize("decay", ["coupled", "decoupled"])
def test_a_gradient_of_zero_is_no_accident(decay):
    """Neither a division by the norm, nor by a root of zero, gives what is no number."""
    params = {"x": jnp.float32(0.0)}
    history, _ = run(optim_v2.make(config(decay)), [{"x": jnp.float32(0.0)}], params)
    assert history[0]["x"] == 0.0
