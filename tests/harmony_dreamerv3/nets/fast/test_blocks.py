"""Block-diagonal products, some of whose inputs all blocks see, against one product each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.nets import fast
from harmony_dreamerv3.nets.rms_layers import BlockLinear

RNG = np.random.default_rng(0)
LAYER = BlockLinear(8, 4, (12, 5, 2), jnp.float64)


def arguments():
    shapes = {"kernel": (4, 10, 2), "bias": (8,)}
    params = {name: jnp.asarray(RNG.normal(size=shape)) for name, shape in shapes.items()}
    return params, tuple(jnp.asarray(RNG.normal(size=(3, 7, size))) for size in (12, 5, 2))


@pytest.mark.parametrize("ahead", [False, True])
def test_values_and_gradients_are_those_of_the_copies(ahead):
    def both(params, pieces):
        def product(params, pieces):
            own, first, second = pieces
            if ahead:
                second = LAYER.apply({"params": params}, second, ahead=2)
            return LAYER.apply({"params": params}, own, first, second)

        y, pull = jax.vjp(product, params, pieces)
        return y, pull(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

    with jax.enable_x64(True):
        args = arguments()
        actual, expected = both(*args), fast.plain(both)(*args)
        params, (own, *shared) = args
        for g in range(4):
            x = np.concatenate([own[..., 3 * g : 3 * g + 3], *shared], -1)
            y = x @ params["kernel"][g] + params["bias"][2 * g : 2 * g + 2]
            np.testing.assert_allclose(actual[0][..., 2 * g : 2 * g + 2], y, rtol=1e-12)
        for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_the_plain_twin_projects_nothing_ahead():
    x = jnp.ones((3, 2), jnp.float32)
    layer = BlockLinear(8, 4, (12, 5, 2))
    variables = {"params": {"kernel": jnp.ones((4, 10, 2)), "bias": jnp.zeros(8)}}
    project = lambda x: layer.apply(variables, x, ahead=2)  # noqa: E731
    assert isinstance(project(x), fast.Projected) and project(x).y.shape == (3, 8)
    assert fast.plain(project)(x).shape == (3, 2)
