"""Shifts, assignments and losses of prototypes against plain numpy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.nets.prototypes import (
    Projections,
    losses,
    shift,
    sinkhorn,
    unit,
    with_unit,
    without_frozen,
)

OPTIONS = {"temperature": 0.1, "eps": 0.05, "iterations": 3, "warm_up": 1}


def test_unit():
    np.testing.assert_allclose(unit(jnp.array([3.0, 4.0])), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(unit(jnp.zeros(2)), [0.0, 0.0])
    assert np.isfinite(jax.grad(lambda x: unit(x).sum())(jnp.zeros(2))).all()


def test_shift_by_whole_pixels_moves_and_repeats_the_edge():
    image = jnp.arange(12.0).reshape(1, 1, 3, 4, 1)
    right = shift(image, jnp.array([[1.0, 0.0]]))[0, 0, :, :, 0]
    np.testing.assert_allclose(right, [[0, 0, 1, 2], [4, 4, 5, 6], [8, 8, 9, 10]])
    up = shift(image, jnp.array([[0.0, -2.0]]))[0, 0, :, :, 0]
    np.testing.assert_allclose(up, [[8, 9, 10, 11]] * 3)
    np.testing.assert_array_equal(shift(image, jnp.zeros((1, 2))), image)


def test_shift_by_parts_of_pixels_is_bilinear():
    rng = np.random.default_rng(0)
    images, offset = rng.normal(size=(2, 3, 6, 5, 2)), rng.uniform(-3, 3, (2, 2))
    out = np.zeros_like(images)
    for row, (dx, dy) in enumerate(offset):
        for y in range(6):
            for x in range(5):
                py, px = np.clip(y - dy, 0, 5), np.clip(x - dx, 0, 4)
                y0, x0 = int(py), int(px)
                y1, x1, fy, fx = min(y0 + 1, 5), min(x0 + 1, 4), py - y0, px - x0
                top = (1 - fx) * images[row, :, y0, x0] + fx * images[row, :, y0, x1]
                low = (1 - fx) * images[row, :, y1, x0] + fx * images[row, :, y1, x1]
                out[row, :, y, x] = (1 - fy) * top + fy * low
    ours = shift(jnp.asarray(images, jnp.float32), jnp.asarray(offset, jnp.float32))
    np.testing.assert_allclose(ours, out, atol=1e-5)


def balanced(scores: np.ndarray, eps: float, iterations: int) -> np.ndarray:
    """Sinkhorn in probabilities: no logarithm."""
    q = np.exp((scores - scores.max()) / eps)
    q /= q.sum()
    for _ in range(iterations):
        q /= q.sum(0, keepdims=True) * q.shape[1]
        q /= q.sum(1, keepdims=True) * q.shape[0]
    return q * q.shape[0]


def test_sinkhorn():
    scores = np.random.default_rng(0).uniform(-1, 1, (6, 4))
    q = sinkhorn(jnp.asarray(scores, jnp.float32), 0.1, 3)
    np.testing.assert_allclose(q, balanced(scores, 0.1, 3), atol=1e-4)
    np.testing.assert_allclose(q.sum(1), 1.0, rtol=1e-5)
    many = sinkhorn(jnp.asarray(scores, jnp.float32), 0.1, 200)
    np.testing.assert_allclose(many.sum(0), 1.5, rtol=1e-3)  # 6 samples share 4 prototypes
    split = sinkhorn(jnp.asarray(scores, jnp.float32).reshape(2, 3, 4), 0.1, 3)
    np.testing.assert_array_equal(split.reshape(6, 4), q)
    assert not jax.grad(lambda x: sinkhorn(x, 0.1, 3)[0, 0])(jnp.asarray(scores)).any()
    hard = sinkhorn(jnp.asarray(scores, jnp.float32), 1e-4, 3)
    assert np.isfinite(hard).all()


def plain(obs, feat, target, protos, temperature, eps, iterations, warm_up):
    """The three losses in float64, view by view."""

    def scores(x):
        return (x / np.linalg.norm(x, axis=-1, keepdims=True))[:, warm_up:] @ protos.T

    def log_softmax(x):
        x = x - x.max(-1, keepdims=True)
        return x - np.log(np.exp(x).sum(-1, keepdims=True))

    half = len(obs) // 2
    views = slice(None, half), slice(half, None)
    q = [balanced(scores(target)[v].reshape(-1, len(protos)), eps, iterations) for v in views]
    pu, pv = (log_softmax(scores(x) / temperature) for x in (obs, feat))
    pu, pv = ([x[v].reshape(-1, len(protos)) for v in views] for x in (pu, pv))
    swav = -0.5 * (q[1] * pu[0]).sum(-1).mean() - 0.5 * (q[0] * pu[1]).sum(-1).mean()
    temp = -0.5 * (q[0] * pv[0]).sum(-1).mean() - 0.5 * (q[1] * pv[1]).sum(-1).mean()
    norm = sum(((np.linalg.norm(x, axis=-1) - 1) ** 2).mean() for x in (obs, feat))
    return {"swav": swav, "temp": temp, "norm": norm}


@pytest.mark.parametrize("warm_up", [0, 1, 2])
def test_losses_against_plain_numpy(warm_up):
    rng = np.random.default_rng(warm_up)
    obs, feat, target = (rng.normal(size=(4, 5, 3)) for _ in range(3))
    protos = rng.normal(size=(7, 3))
    protos /= np.linalg.norm(protos, axis=-1, keepdims=True)
    options = {**OPTIONS, "warm_up": warm_up}
    args = [jnp.asarray(x, jnp.float32) for x in (obs, feat, target, protos)]
    ours, _ = losses(*args, **options)
    assert ours["swav"].shape == ours["temp"].shape == (2, 5 - warm_up)
    expected = plain(obs, feat, target, protos, **options)
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name].mean(), value, rtol=1e-4)


def test_equal_scores_cost_the_logarithm_of_the_number_of_prototypes():
    same = jnp.ones((2, 3, 4))
    protos = jnp.broadcast_to(unit(jnp.ones(4)), (8, 4))
    values, _ = losses(same, same, same, protos, **OPTIONS)
    np.testing.assert_allclose(values["swav"], np.log(8), rtol=1e-5)
    np.testing.assert_allclose(values["norm"], 2.0, rtol=1e-5)  # length 2, twice (2 - 1)^2


def test_no_gradient_reaches_the_target():
    rng = np.random.default_rng(0)
    args = [jnp.asarray(rng.normal(size=(2, 3, 4)), jnp.float32) for _ in range(3)]
    protos = unit(jnp.asarray(rng.normal(size=(5, 4)), jnp.float32))

    def total(*args):
        return sum(x.mean() for x in losses(*args, **OPTIONS)[0].values())

    grads = jax.grad(total, (0, 1, 2, 3))(*args, protos)
    assert [bool(np.abs(g).max() > 0) for g in grads] == [True, True, False, True]


def test_projections():
    module = Projections(5, 2)
    params = module.init(jax.random.key(0), jnp.ones((1, 3)), jnp.ones((1, 4)))["params"]
    assert params["prototypes"].shape == (5, 2)
    obs, _, protos = module.apply({"params": params}, jnp.ones((1, 3)), jnp.ones((1, 4)))
    alone = module.apply({"params": params}, jnp.ones((1, 3)), method="project")
    np.testing.assert_array_equal(obs, alone)
    np.testing.assert_array_equal(protos, params["prototypes"])


def test_prototypes_alone_are_scaled_and_held():
    model = {"projections": {"prototypes": jnp.array([[3.0, 4.0]]), "obs_proj": jnp.ones(3)}}
    scaled = with_unit(model)["projections"]
    np.testing.assert_allclose(scaled["prototypes"], [[0.6, 0.8]], rtol=1e-6)
    np.testing.assert_array_equal(scaled["obs_proj"], 1.0)
    for frozen, expected in ((True, [[0.0, 0.0]]), (False, [[3.0, 4.0]])):
        out = without_frozen(model, jnp.asarray(frozen))["projections"]
        np.testing.assert_array_equal(out["prototypes"], expected)
        np.testing.assert_array_equal(out["obs_proj"], 1.0)
