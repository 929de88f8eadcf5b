"""Losses of the decoder; the modules are compared with the released code by parity."""

import jax.numpy as jnp
import numpy as np
import pytest
import reference as ref

from harmony_dreamerv3.nets.coders import image_loss, vector_loss


def test_vector_loss_ignores_distances_below_the_tolerance():
    target = np.array([[2.0, -5.0, 0.0]])
    exact = np.sign(target) * np.log1p(np.abs(target))
    offsets = np.array([[0.5, 9e-5, -2e-4]])  # Squared: 0.25, 8.1e-9 (counts 0), 4e-8.
    ours = vector_loss(jnp.asarray(exact + offsets, jnp.float32), jnp.float32(target), 1)
    assert float(ours[0]) == pytest.approx(0.25 + 4e-8, rel=1e-5)
    only = vector_loss(
        jnp.asarray(exact + offsets, jnp.float32)[:, 1:], jnp.float32(target)[:, 1:], 1
    )
    assert 0 < float(only[0]) < 4.5e-8
    assert float(only[0]) == pytest.approx(
        ref.symlog_mse((exact + offsets)[:, 1:], target[:, 1:]), rel=0.02
    )


def test_image_loss_is_summed_over_pixels():
    image = np.full((2, 4, 4, 3), 255, np.uint8)
    # 48 values, each off by 0.5.
    np.testing.assert_allclose(image_loss(jnp.full(image.shape, 0.5), image), [12.0, 12.0])
