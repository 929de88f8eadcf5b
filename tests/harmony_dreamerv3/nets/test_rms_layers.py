"""Layers of the 2025 base: beginnings, norms, block-diagonal kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.nets.rms_layers import BlockLinear, Conv, Linear, RMSNorm, trunc_normal_in

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("shape", "fan"), [((300, 400), 300), ((5, 5, 20, 60), 500), ((8, 40, 300), 320)]
)
@pytest.mark.parametrize("outscale", [1.0, 0.01])
def test_kernels_start_by_their_whole_input(shape, fan, outscale):
    x = np.asarray(trunc_normal_in(outscale)(KEY, shape), np.float64)
    np.testing.assert_allclose(x.std(), outscale / np.sqrt(fan), rtol=0.02)
    limit = 2 * 1.1368 * outscale / np.sqrt(fan)
    assert 0.98 * limit < np.abs(x).max() <= limit
    assert not trunc_normal_in(0.0)(KEY, (3, 4)).any()


@pytest.mark.parametrize(
    ("layer", "x", "kernel"),
    [
        (Linear(4), (2, 3), (3, 4)),
        (Conv(4), (2, 6, 6, 3), (5, 5, 3, 4)),
        (BlockLinear(4, 2, (6,)), (2, 6), (2, 3, 2)),
    ],
)
def test_biases_start_at_zero(layer, x, kernel):
    params = layer.init(KEY, jnp.ones(x))["params"]
    assert params["kernel"].shape == kernel
    assert params["bias"].shape == (4,) and not params["bias"].any()


def test_norm_by_hand():
    x = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    params = {"scale": jnp.array([2.0, 1.0])}
    root = np.sqrt(12.5 + 1e-4)
    out = RMSNorm().apply({"params": params}, x)
    np.testing.assert_allclose(out, [[6 / root, 4 / root], [0, 0]], rtol=1e-6)


def test_blocks_see_their_own_slice_and_what_is_shared():
    layer = BlockLinear(4, 2, (6, 1))
    x, shared = jnp.arange(6.0)[None], jnp.array([[10.0]])
    kernel = jnp.zeros((2, 4, 2)).at[0, 0, 0].set(1.0).at[1, 2, 1].set(1.0).at[1, 3, 0].set(1.0)
    params = {"kernel": kernel, "bias": jnp.array([0.0, 0.5, 0.0, 0.0])}
    # Block 0: x[0]; block 1: what is shared, and x[3 + 2].
    np.testing.assert_allclose(layer.apply({"params": params}, x, shared), [[0, 0.5, 10, 5]])
