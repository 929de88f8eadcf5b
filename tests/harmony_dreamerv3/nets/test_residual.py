"""Batch norms with moving statistics, and the residual pair's sizes."""

import jax
import jax.numpy as jnp
import numpy as np

from harmony_dreamerv3.nets.residual import BatchNorm, Residual, ResidualDecoder, ResidualEncoder


def test_batch_norm_by_hand():
    """Values 0 and 2: mean 1, variance 1, unbiased 2; moved by a tenth."""
    x = jnp.array([0.0, 2.0]).reshape(2, 1, 1, 1)
    norm = BatchNorm()
    variables = norm.init(jax.random.key(0), x, False)
    np.testing.assert_allclose(norm.apply(variables, x, False), x / np.sqrt(1 + 1e-5), rtol=1e-6)
    y, new = norm.apply(variables, x, True, mutable=["stats"])
    np.testing.assert_allclose(y[:, 0, 0, 0], np.array([-1, 1]) / np.sqrt(1 + 1e-5), rtol=1e-6)
    np.testing.assert_allclose(new["stats"]["mean"], [0.1], rtol=1e-6)
    np.testing.assert_allclose(new["stats"]["var"], [0.9 + 0.1 * 2.0], rtol=1e-6)


def test_a_forward_pass_for_acting_moves_nothing():
    x = jnp.ones((2, 3, 3, 2))
    norm = BatchNorm()
    variables = norm.init(jax.random.key(0), x, True)
    assert not variables["stats"]["mean"].any()  # neither does the first one
    _, new = norm.apply(variables, x, False, mutable=["stats"])
    jax.tree.map(np.testing.assert_array_equal, new["stats"], variables["stats"])


def test_a_layer_of_zeros_is_the_rectified_input():
    x = jnp.array([-1.0, 2.0]).reshape(1, 1, 1, 2)
    layer = Residual(2, jnp.float32)
    variables = jax.tree.map(jnp.zeros_like, layer.init(jax.random.key(0), x, False))
    assert "skip" not in variables["params"]
    np.testing.assert_array_equal(layer.apply(variables, x, False)[0, 0, 0], [0.0, 2.0])


def test_sizes():
    x = jnp.zeros((1, 32, 32, 3))
    encoder = ResidualEncoder(2)
    code = encoder.apply(encoder.init(jax.random.key(0), x, False), x, False)
    assert code.shape == (1, 2, 2, 8)
    decoder, feat = ResidualDecoder(2, 32, 3), jnp.zeros((1, 5))
    variables = decoder.init(jax.random.key(0), feat, False)
    assert variables["params"]["in"]["kernel"].shape == (5, 2 * 2 * 8)
    assert variables["params"]["kernel"].shape == (3, 3, 3, 1)  # half the depth
    assert decoder.apply(variables, feat, False).shape == (1, 32, 32, 3)
