"""Encoder and decoder of DreamerV2: sizes, keys, parameters of the paper's size."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3.config.dreamerv2 import CoderConfig
from harmony_dreamerv3.nets.coders_v2 import (
    Convolution,
    Decoder,
    Encoder,
    check_coder,
    decoded_side,
    encoded_side,
)


def coder(kernels, kind="plain"):
    return CoderConfig(
        mlp_keys=".*", cnn_keys=".*", mlp_layers=2, mlp_units=10, cnn_depth=48, kind=kind,
        kernels=kernels,
    )  # fmt: skip


def test_sides_of_the_paper():
    assert [encoded_side(64, (4,) * n) for n in range(1, 5)] == [31, 14, 6, 2]
    assert [decoded_side((5, 5, 6, 6)[:n]) for n in range(1, 5)] == [5, 13, 30, 64]
    assert encoded_side(8, (4, 4, 4)) == 0


def test_a_transposed_convolution_of_one_pixel_is_its_kernel():
    x = jnp.ones((1, 1, 1, 1))
    layer = Convolution(1, 3, 3)
    variables = layer.init(jax.random.key(0), x)
    out = layer.apply(variables, x)[0, ..., 0]
    np.testing.assert_allclose(out, variables["params"]["kernel"][:, :, 0, 0], rtol=1e-6)


def test_encoder_of_the_paper_has_1536_outputs_and_images_come_first():
    encoder = Encoder(("image",), ("speed", "map"), coder((4, 4, 4, 4)))
    obs = {
        "image": jax.ShapeDtypeStruct((2, 3, 64, 64, 3), jnp.float32),
        "speed": jax.ShapeDtypeStruct((2, 3, 5), jnp.float32),
        "map": jax.ShapeDtypeStruct((2, 3, 2, 2), jnp.float32),
        "is_first": jax.ShapeDtypeStruct((2, 3), bool),
    }
    out, variables = jax.eval_shape(encoder.init_with_output, jax.random.key(0), obs)
    params = variables["params"]
    assert out.shape == (2, 3, 1536 + 10)
    assert params["cnn3"]["kernel"].shape == (4, 4, 192, 384)
    assert params["mlp"]["h0"]["kernel"].shape == (9, 10)


def test_decoder_splits_images_by_channel():
    images = {"front": (64, 64, 3), "side": (64, 64, 1)}
    decoder = Decoder(images, {"speed": (2, 2)}, coder((5, 5, 6, 6)))
    feat = jax.ShapeDtypeStruct((2, 3, 7), jnp.float32)
    out, variables = jax.eval_shape(decoder.init_with_output, jax.random.key(0), feat)
    shapes = {name: value.shape for name, value in out.items()}
    assert shapes == {
        "front": (2, 3, 64, 64, 3), "side": (2, 3, 64, 64, 1), "speed": (2, 3, 2, 2),
    }  # fmt: skip
    kernels = [variables["params"][f"cnn{i}"]["kernel"].shape for i in range(4)]
    assert kernels == [(5, 5, 192, 1536), (5, 5, 96, 192), (6, 6, 48, 96), (6, 6, 4, 48)]


def test_number_of_parameters_of_the_paper():
    """By hand: sum of (k k in + 1) out over the encoder's four convolutions."""
    encoder = Encoder(("image",), (), coder((4, 4, 4, 4)))
    obs = {"image": jnp.zeros((1, 64, 64, 3)), "is_first": jnp.zeros(1, bool)}
    params = jax.eval_shape(encoder.init, jax.random.key(0), obs)["params"]
    channels = [3, 48, 96, 192, 384]
    expected = sum((16 * i + 1) * o for i, o in itertools.pairwise(channels))
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(params)) == expected


@pytest.mark.parametrize(
    ("side", "kind", "kernels", "images", "message"),
    [
        ("encoder", "plain", (4, 4, 4), {"image": (16, 16, 3)}, r"encoder.kernels \[4, 4, 4\]"),
        ("decoder", "plain", (5, 5), {"image": (12, 12, 3)}, "expected a square, of 13x13"),
        ("decoder", "plain", (5, 5), {"image": (13, 12, 3)}, "13x12"),
        ("encoder", "residual", (), {"image": (40, 40, 3)}, "multiple of 16"),
        ("encoder", "plain", (4,), {"a": (8, 8, 3), "b": (9, 9, 3)}, "several sizes"),
    ],
)
def test_images_that_do_not_fit(side, kind, kernels, images, message):
    with pytest.raises(UserError, match=message):
        check_coder(side, coder(kernels, kind), images, {})


def test_images_that_fit():
    check_coder("encoder", coder((4, 4, 4), "plain"), {"image": (32, 32, 3)}, {})
    check_coder("decoder", coder((5, 6, 6), "plain"), {"image": (32, 32, 3)}, {})
    check_coder("decoder", coder((), "residual"), {"image": (48, 48, 3)}, {})
