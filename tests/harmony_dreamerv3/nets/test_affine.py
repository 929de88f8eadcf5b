"""Affine layers: their beginning, and inputs in pieces."""

import jax
import jax.numpy as jnp
import numpy as np

from harmony_dreamerv3.nets import fast
from harmony_dreamerv3.nets.affine import Affine


def test_initial_kernels_are_xavier_uniform_and_biases_zero():
    params = Affine(200).init(jax.random.key(0), jnp.zeros((1, 100)))["params"]
    limit = np.sqrt(6 / 300)
    assert limit * 0.99 < np.abs(params["kernel"]).max() <= limit
    np.testing.assert_allclose(params["kernel"].std(), limit / np.sqrt(3), rtol=0.02)
    assert not params["bias"].any()


def test_pieces_are_one_input_whether_projected_ahead_or_not():
    layer, (a, b) = Affine(4, sizes=(2, 3)), (jnp.ones((5, 2)), jnp.arange(15.0).reshape(5, 3))
    variables = layer.init(jax.random.key(0), a, b)
    variables = jax.tree.map(lambda x: x + 0.5, variables)
    kernel, bias = (np.asarray(variables["params"][k], np.float64) for k in ("kernel", "bias"))
    assert kernel.shape == (5, 4)
    expected = np.concatenate([a, b], -1) @ kernel + bias
    ahead = layer.apply(variables, b, ahead=1)
    assert isinstance(ahead, fast.Projected)
    for pieces in ((a, b), (a, ahead)):
        np.testing.assert_allclose(layer.apply(variables, *pieces), expected, rtol=1e-5)
