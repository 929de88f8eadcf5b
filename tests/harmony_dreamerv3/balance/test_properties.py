"""One suite that every balancing method has to pass."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmony_dreamerv3.balance import METHODS, Task, make

TASKS = {
    "observation": Task({"image": 1.0}, dims=12),
    "reward": Task({"reward": 1.0}),
    "dynamics": Task({"dyn": 5 / 6, "rep": 1 / 6}, regularizer=5 / 6),
    "cont": Task({"cont": 1.0}, fixed=1.0),
}
EVEN = {name: Task({name: 1.0}, dims=12) for name in ("observation", "reward", "dynamics")}
HELD = {**TASKS, "dynamics": Task({"dyn": 0.5, "rep": 0.5}, fixed=1.0)}  # App. E.4: w_d = 1
MEMBERS = {
    "fixed": ("fixed", TASKS, {}),
    "fixed weights": ("fixed", TASKS, {"weights": {"reward": 100.0, "observation": 0.0}}),
    "harmony": ("harmony", TASKS, {}),
    "harmony, dynamics held": ("harmony", HELD, {}),
    "harmony from the first loss": ("harmony", TASKS, {"init": "first_loss"}),
    "harmony_unrectified": ("harmony_unrectified", TASKS, {}),
    "uncertainty": ("uncertainty", TASKS, {}),
    "uncertainty from the first loss": ("uncertainty", TASKS, {"init": "first_loss"}),
    "dwa": ("dwa", TASKS, {"window": 1}),
    "nashmtl": ("nashmtl", TASKS, {"normalization": "none"}),
    "nashmtl frobenius": ("nashmtl", TASKS, {"interval": 2}),
    "nashmtl, dynamics held": ("nashmtl", HELD, {}),
    "reciprocal": ("reciprocal", TASKS, {}),
}
members = pytest.mark.parametrize("member", MEMBERS)
LOSSES = {"image": 170.0, "reward": 0.03, "dyn": 1.5, "rep": 2.5, "cont": 0.1}


def build(method, tasks, options):
    """Returns a balancer and its compiled training step.

    The step is one update and one value_and_grad: (params, state, losses) ->
    (state, ((total, metrics), (gradient of params, gradient of losses))).
    """
    balancer = make(method, tasks, **options)
    free = [name for name in tasks if tasks[name].fixed is None]
    directions = np.random.default_rng(0).normal(size=[len(free), 6]) + 0.5

    def step(params, state, losses):
        grads = None
        if balancer.needs_task_grads:  # as long as the losses are large: no other scale
            values = balancer.task_losses(losses)
            grads = jnp.float32(directions) * jnp.stack([values[name] for name in free])[:, None]
        state = balancer.update(state, losses, grads)
        outputs = jax.value_and_grad(balancer.apply, (0, 2), has_aux=True)(params, state, losses)
        return state, outputs

    return balancer, jax.jit(step)


@functools.cache
def member_step(member):
    return build(*MEMBERS[member])


@functools.cache
def even_step(method):
    return build(method, EVEN, {"normalization": "none"} if method == "nashmtl" else {})


def run(member, losses, steps=3):
    """Returns the state and outputs after some steps on the same losses."""
    balancer, step = member_step(member)
    params, state = balancer.init()
    for _ in range(steps):
        state, outputs = step(params, state, losses)
    return state, outputs


def finite(tree):
    return all(np.isfinite(np.float64(x)).all() for x in jax.tree.leaves(tree))


def close(tree, want):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), tree, want)


def arrays(scale=1.0, dtype=jnp.float32, shape=(2, 3)):
    rng = np.random.default_rng(1)
    return {
        name: jnp.asarray(value * scale * rng.uniform(0.5, 1.5, shape), dtype)
        for name, value in LOSSES.items()
    }


def test_every_method_is_a_member():
    assert {method for method, _, _ in MEMBERS.values()} == set(METHODS)


@members
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_total_and_gradients_are_finite(member, dtype, data):
    value = st.sampled_from([0.0, 1e-30, 1e-6, 1.0, 300.0, 1e6, 1e30])
    losses = {name: jnp.full([3], data.draw(value), dtype) for name in LOSSES}
    balancer, step = member_step(member)
    params, state = balancer.init()
    far = 60.0 if "first loss" in member else 80.0  # From a start that may be 18 below 0.
    for log_sigma in (-far, 0.0, far):
        # At σ = exp(-80) = 1.8e-35 the weighted loss of more than 1e3 is not representable.
        sound = {k: jnp.minimum(v, jnp.asarray(300, dtype)) for k, v in losses.items()}
        shifted = jax.tree.map(lambda s, shift=log_sigma: s + jnp.float32(shift), params)
        state, outputs = step(shifted, state, sound if log_sigma < 0 else losses)
        assert finite((state, outputs)), (log_sigma, outputs)


@members
def test_the_gradient_of_a_loss_is_the_weight_of_its_task(member):
    # So weights, however they come about, are constants to the model.
    losses = arrays()
    _, ((total, metrics), (params_grad, losses_grad)) = run(member, losses)
    tasks = MEMBERS[member][1]
    for name, task in tasks.items():
        weight = float(metrics[f"weight/{name}"])
        np.testing.assert_allclose(
            metrics[f"weighted/{name}"], weight * float(metrics[f"loss/{name}"]), rtol=1e-6
        )
        for key, inner in task.losses.items():
            np.testing.assert_allclose(losses_grad[key], weight * inner / 6, rtol=1e-5)
    if not params_grad:
        weighted = sum(float(metrics[f"weighted/{name}"]) for name in tasks)
        np.testing.assert_allclose(total, weighted, rtol=1e-6)


@members
def test_weights_and_losses_stay_float32_under_bfloat16(member):
    half = arrays(dtype=jnp.bfloat16)
    state, ((total, metrics), (params_grad, losses_grad)) = run(member, half)
    full = {name: x.astype(jnp.float32) for name, x in half.items()}
    _, ((want, want_metrics), _) = run(member, full)
    assert total.dtype == jnp.float32
    assert {x.dtype for x in metrics.values()} == {jnp.dtype(jnp.float32)}
    assert {x.dtype for x in jax.tree.leaves(params_grad)} <= {jnp.dtype(jnp.float32)}
    assert {x.dtype for x in losses_grad.values()} == {jnp.dtype(jnp.bfloat16)}
    dtypes = {x.dtype for x in jax.tree.leaves(state)}
    assert dtypes <= {jnp.dtype(kind) for kind in (jnp.float32, jnp.int32, bool)}
    np.testing.assert_allclose(total, want, rtol=1e-6)
    for name, value in want_metrics.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-6, atol=1e-6, err_msg=name)


@members
def test_the_state_keeps_its_structure_so_that_it_can_be_scanned(member):
    balancer, step = member_step(member)
    params, state = balancer.init()
    rows = [arrays(scale) for scale in (1.0, 2.0, 0.5)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *rows)

    def body(state, losses):
        state, ((total, _), _) = step(params, state, losses)
        return state, total

    last, totals = jax.lax.scan(body, state, stacked)
    for losses, want in zip(rows, totals, strict=True):
        state, total = body(state, losses)
        np.testing.assert_allclose(total, want, rtol=1e-5)
    close(state, last)


@members
def test_vmap_is_a_loop_over_learners(member):
    balancer, step = member_step(member)
    learners = [arrays(scale) for scale in (0.1, 1.0, 7.0)]
    params, state = balancer.init()
    copies = jax.tree.map(lambda x: jnp.broadcast_to(x, (3, *x.shape)), (params, state))
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *learners)
    whole = jax.vmap(step)(*copies, stacked)
    for index, losses in enumerate(learners):
        close(jax.tree.map(lambda x, i=index: x[i], whole), step(params, state, losses))


@members
def test_no_gradient_passes_through_update(member):
    balancer, step = member_step(member)
    params, state = balancer.init()

    def total_after_two_updates(losses, kept):
        new, _ = step(params, state, kept(losses))
        new, _ = step(params, new, kept(losses))
        return balancer.apply(params, new, losses)[0]

    through = jax.grad(lambda x: total_after_two_updates(x, lambda y: y))(arrays())
    around = jax.grad(lambda x: total_after_two_updates(x, jax.lax.stop_gradient))(arrays())
    jax.tree.map(np.testing.assert_array_equal, through, around)


@members
def test_fixed_tasks_keep_their_weight(member):
    _, ((_, metrics), _) = run(member, arrays())
    for name, task in MEMBERS[member][1].items():
        if task.fixed is not None:
            assert float(metrics[f"weight/{name}"]) == task.fixed
            assert f"log_sigma/{name}" not in metrics


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=10, deadline=None)
@given(scale=st.floats(1e-4, 1e4))
def test_losses_of_equal_scale_get_equal_weights(method, scale):
    # Gradients at right angles: what differs in direction may differ in the Nash solution.
    balancer, _ = even_step(method)
    params, state = balancer.init()
    losses = {name: jnp.full([4], scale, jnp.float32) for name in EVEN}
    grads = jnp.eye(3) * jnp.float32(scale) if balancer.needs_task_grads else None
    for _ in range(3):
        state = jax.jit(balancer.update)(state, losses, grads)
        slopes, metrics = jax.grad(balancer.apply, has_aux=True)(params, state, losses)
        params = jax.tree.map(lambda p, g: p - jnp.float32(0.1) * jnp.tanh(g), params, slopes)
    weights = [float(metrics[f"weight/{name}"]) for name in EVEN]
    np.testing.assert_allclose(weights, weights[0], rtol=1e-5)


@pytest.mark.parametrize("method", ["reciprocal", "nashmtl", "harmony_unrectified", "uncertainty"])
@settings(max_examples=15, deadline=None)
@given(exponents=st.lists(st.floats(-4, 4), min_size=3, max_size=3))
def test_weighted_losses_do_not_depend_on_the_scale_of_each_task(method, exponents):
    # The learned methods promise it of their optimum, the others at once. `harmony` does not:
    # its rectification is what tells a small loss from a large one.
    base, scaled = (_balanced(method, 10.0 ** np.array(e)) for e in ([0.0, 0, 0], exponents))
    np.testing.assert_allclose(scaled, base, rtol=1e-3)


@pytest.mark.parametrize("method", ["dwa", "fixed", "nashmtl frobenius"])
@settings(max_examples=15, deadline=None)
@given(exponent=st.floats(-4, 4))
def test_weights_do_not_depend_on_a_common_scale(method, exponent):
    scale = 10.0**exponent
    weights = []
    for factor in (1.0, scale):
        _, ((_, metrics), _) = run(method, arrays(factor), steps=3)
        weights.append([float(metrics[f"weight/{name}"]) for name in TASKS])
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-3)


def _balanced(method, scales):
    """Returns the weighted losses [3] once balanced, for losses of the given scales."""
    balancer, step = even_step(method)
    params, state = balancer.init()
    losses = {name: jnp.full([4], s, jnp.float32) for name, s in zip(EVEN, scales, strict=True)}
    state, ((_, metrics), _) = step(params, state, losses)
    if params:
        params = {"log_sigma": {name: metrics[f"log_sigma_star/{name}"] for name in EVEN}}
        _, ((_, metrics), _) = step(params, state, losses)
    return np.array([float(metrics[f"weighted/{name}"]) for name in EVEN])
