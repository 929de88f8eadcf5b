import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmony_dreamerv3.balance import Task, make
from harmony_dreamerv3.balance.nash import bargain

TASKS = {name: Task({name: 1.0}) for name in ("a", "b", "c")}
LOSSES = {name: jnp.float32(1.0) for name in TASKS}


@functools.cache
def compiled(normalization, names):
    balancer = make("nashmtl", {n: TASKS[n] for n in names}, normalization=normalization)
    return balancer.init()[1], jax.jit(balancer.update)


def solve(grads, normalization="none", names=("a", "b", "c")):
    """Returns α [K] in float64 and the residual that the balancer reports."""
    state, update = compiled(normalization, names)
    losses = {name: LOSSES[name] for name in names}
    state = update(state, losses, jax.tree.map(jnp.asarray, grads))
    return np.asarray(state["weight"], np.float64), float(state["residual"])


def residual(alpha, product):
    """Largest relative violation of GᵀGα = 1/α."""
    return np.abs(alpha * (product @ alpha) - 1).max()


def reference(product):
    """GᵀGα = 1/α by exact coordinate steps in float64.

    The i-th equation, p_ii α_i² + (Σ_{j≠i} p_ij α_j) α_i = 1, is a quadratic in α_i.
    """
    alpha = 1 / np.sqrt(np.diagonal(product))
    while residual(alpha, product) > 1e-8:
        for i in range(len(alpha)):
            rest = product[i] @ alpha - product[i, i] * alpha[i]
            root = np.sqrt(rest**2 + 4 * product[i, i])
            alpha[i] = (root - rest) / (2 * product[i, i])
    return alpha


def gradients(seed, scales, dims=40, shared=0.0):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=[1, dims])
    return (rng.normal(size=[len(scales), dims]) + shared * common) * np.array(scales)[:, None]


def test_orthogonal_gradients_by_hand():
    # α_i² |g_i|² = 1: α = 1/|g|. With ‖GᵀG‖ = sqrt(1 + 16 + 256) in addition: α·273^(1/4).
    grads = np.diag(np.float32([1, 2, 4]))
    alpha, error = solve(grads)
    np.testing.assert_allclose(alpha, [1, 0.5, 0.25], rtol=1e-6)
    assert error < 1e-6
    alpha, _ = solve(grads, "frobenius")
    np.testing.assert_allclose(alpha, 273**0.25 * np.array([1, 0.5, 0.25]), rtol=1e-6)


def test_equal_gradients_by_hand():
    # GᵀG = 4·ones: 4·3α = 1/α.
    alpha, _ = solve(np.full([3, 4], 1, np.float32))
    np.testing.assert_allclose(alpha, np.full(3, 12**-0.5), rtol=1e-5)


@pytest.mark.parametrize("normalization", ["none", "frobenius"])
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    exponents=st.lists(st.floats(-12, 12), min_size=3, max_size=3),
    shared=st.sampled_from([-1.0, 0.0, 1.0, 10.0]),
)
def test_the_equation_holds_and_the_solution_is_that_of_numpy(
    normalization, seed, exponents, shared
):
    grads = np.float32(gradients(seed, 10.0 ** np.array(exponents), shared=shared))
    alpha, error = solve(grads, normalization)
    product = np.float64(grads) @ np.float64(grads).T
    if normalization == "frobenius":
        product /= np.linalg.norm(product)
    assert error < 1e-4
    assert (alpha > 0).all()
    assert residual(alpha, product) < 1e-4
    np.testing.assert_allclose(alpha, reference(product), rtol=1e-3)


def test_conflicting_gradients_are_solved():
    # Almost opposed: cosine -0.99, so that the plain sum would nearly cancel.
    grads = np.float32([[1, 0, 0], [-0.99, 0.1411, 0], [0, 0, 1e4]])
    alpha, error = solve(grads)
    assert error < 1e-4
    assert residual(alpha, np.float64(grads) @ grads.T) < 1e-4


def test_each_task_gets_the_same_share_of_the_step():
    # Navon et al.: α_i·g_iᵀ(Gα) = 1 for all i, whatever the lengths of the gradients.
    grads = np.float32(gradients(0, [1e-3, 1.0, 1e3]))
    alpha, _ = solve(grads)
    step = alpha @ grads
    np.testing.assert_allclose(alpha * (grads @ step), 1, rtol=1e-4)
    np.testing.assert_allclose(step @ step, 3, rtol=1e-4)


@pytest.mark.parametrize(
    ("grads", "kept"),
    [
        ([[1, 0], [-1, 0], [0, 1]], [0, 1, 2]),  # opposed: no solution
        ([[1, 0], [np.nan, 0], [0, 1]], [0, 1, 2]),
        ([[1, 0], [np.inf, 0], [0, 1]], [0, 1, 2]),
        ([[0, 0], [0, 0], [0, 0]], [0, 1, 2]),
        ([[2, 0], [0, 0], [0, 4]], [1]),  # no gradient: its weight does not matter
    ],
)
def test_without_a_solution_the_weights_stay(grads, kept):
    alpha, _ = solve(np.float32(grads))
    assert np.isfinite(alpha).all()
    assert [i for i in range(3) if alpha[i] == 1.0] == kept


def test_leaves_of_a_tree_count_as_one_vector():
    grads = np.float32(gradients(1, [1.0, 2.0, 3.0], dims=12))
    tree = {"w": grads[:, :8].reshape(3, 2, 4), "b": (grads[:, 8:], np.zeros([3, 0], np.float32))}
    np.testing.assert_allclose(solve(tree)[0], solve(grads)[0], rtol=1e-5)


def test_the_interval_keeps_the_weights_and_asks_for_no_gradients():
    balancer = make("nashmtl", TASKS, interval=3, normalization="none")
    _, state = balancer.init()
    weights, calls = [], []
    for step in range(5):

        def grads(scale=step + 1.0):
            jax.debug.callback(lambda: calls.append(scale))
            return jnp.eye(3) * jnp.float32(scale)

        state = balancer.update(state, LOSSES, grads)
        weights.append(float(state["weight"][0]))
    jax.effects_barrier()
    np.testing.assert_allclose(weights, [1, 1, 1, 1 / 4, 1 / 4], rtol=1e-6)
    assert calls == [1.0, 4.0]


def test_fixed_tasks_do_not_bargain():
    tasks = {**TASKS, "b": Task({"b": 1.0}, fixed=7.0)}
    balancer = make("nashmtl", tasks, normalization="none")
    params, state = balancer.init()
    state = balancer.update(state, LOSSES, jnp.float32([[2, 0], [0, 4]]))
    _, metrics = balancer.apply(params, state, LOSSES)
    weights = [float(metrics[f"weight/{name}"]) for name in TASKS]
    np.testing.assert_allclose(weights, [0.5, 7, 0.25], rtol=1e-6)


def test_wrong_gradients_are_named():
    balancer = make("nashmtl", TASKS)
    _, state = balancer.init()
    with pytest.raises(ValueError, match="needs task_grads"):
        balancer.update(state, LOSSES)
    with pytest.raises(ValueError, match=r"leaves \[3, ...\] for 3 tasks, shapes=\['\(2, 5\)'\]"):
        balancer.update(state, LOSSES, {"w": jnp.zeros([2, 5])})


def test_a_single_task_gets_a_unit_step():
    alpha, _ = solve(np.float32([[3, 4]]), names=("a",))
    np.testing.assert_allclose(alpha, [0.2], rtol=1e-6)


def test_many_tasks_converge_within_the_iterations():
    rng = np.random.default_rng(0)
    for _ in range(20):
        grads = rng.normal(size=[8, 30]) + 3 * rng.normal(size=[1, 30])
        unit = grads / np.linalg.norm(grads, axis=1, keepdims=True)
        _, error = jax.jit(bargain)(jnp.float32(unit @ unit.T))
        assert error < 1e-5


@pytest.mark.parametrize("length", [1e-25, 1e25])
def test_lengths_without_a_float32_square_are_solved(length):
    grads = np.float32(gradients(2, [length, 2 * length, 3 * length]))
    alpha, error = solve(grads)
    assert error < 1e-4
    assert residual(alpha, np.float64(grads) @ np.float64(grads).T) < 1e-4


def test_a_solution_that_float32_cannot_reach_is_not_used():
    # Cosine -(1 - 5e-7): the solution has β = 1000, beyond which products cancel to nothing.
    grads = np.float32([[1, 0, 0], [-1, 1e-3, 0], [0, 0, 1]])
    alpha, error = solve(grads)
    assert error >= 1e-4
    assert alpha.tolist() == [1, 1, 1]


def test_whole_newton_steps_would_leave_the_positive_weights():
    upper = [0.46, 0.34, 0.44, 0.59, -0.11, -0.77, 0.43, 0.58, 0.39, 0.44, -0.22, 0.1, -0.3, -0.32]
    upper += [-0.05, 0.24, -0.08, -0.17, 0.37, -0.73, -0.11]
    cosine = np.eye(7)
    cosine[np.triu_indices(7, 1)] = upper
    cosine = np.maximum(cosine, cosine.T) + np.minimum(cosine, cosine.T) - np.eye(7)
    slack = 1 - cosine.sum(1)
    assert (1 + np.linalg.solve(cosine + np.eye(7), slack)).min() < 0  # the first step from β = 1
    beta, error = jax.jit(bargain)(jnp.float32(cosine))
    assert error < 1e-5
    assert (np.asarray(beta) > 0).all()
