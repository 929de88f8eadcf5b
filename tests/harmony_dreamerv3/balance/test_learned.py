import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmony_dreamerv3.balance import BalanceError, Task, make

METHODS = ["harmony", "harmony_unrectified", "uncertainty"]
TASKS = {
    "observation": Task({"image": 1.0}, dims=12),
    "reward": Task({"reward": 1.0}),
    "dynamics": Task({"dyn": 5 / 6, "rep": 1 / 6}, regularizer=5 / 6),
}


def reference(method, losses, log_sigma):
    """Eq. 4, Eq. 5 and App. D.2 as they are printed, in float64."""
    total = 0.0
    for name, task in TASKS.items():
        loss = sum(weight * losses[key] for key, weight in task.losses.items())
        sigma = np.exp(np.float64(log_sigma[name]))
        total += (
            loss / sigma
            + {
                "harmony": task.regularizer * np.log(1 + sigma),
                "harmony_unrectified": task.regularizer * np.log(sigma),
                "uncertainty": task.dims * np.log(sigma),
            }[method]
        )
    return total


def optimum(method, loss, task):
    """σ* from the zero of the derivative, in float64."""
    c = task.regularizer
    return {
        "harmony": (loss + np.sqrt(loss**2 + 4 * c * loss)) / (2 * c),
        "harmony_unrectified": loss / c,
        "uncertainty": loss / task.dims,
    }[method]


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_total_is_that_of_the_paper(method, data):
    value = st.floats(1e-6, 1e6)
    losses = {key: data.draw(value) for key in ("image", "reward", "dyn", "rep")}
    log_sigma = {name: data.draw(st.floats(-10, 10)) for name in TASKS}
    log_sigma = {name: float(np.float32(s)) for name, s in log_sigma.items()}
    params = {"log_sigma": {name: jnp.float32(s) for name, s in log_sigma.items()}}
    total, _ = make(method, TASKS).apply(params, {}, jax.tree.map(jnp.float32, losses))
    want = reference(method, losses, log_sigma)
    np.testing.assert_allclose(total, want, rtol=2e-6, atol=2e-4)


def test_harmony_by_hand():
    # s = log 3: σ = 3, L/σ = 6/3 = 2, log(1 + 3) = 1.3862944.
    balancer = make("harmony", {"reward": Task({"reward": 1.0})})
    params = {"log_sigma": {"reward": jnp.log(jnp.float32(3.0))}}
    total, metrics = balancer.apply(params, {}, {"reward": jnp.array([4.0, 8.0])})
    np.testing.assert_allclose(total, 2 + 1.3862944, rtol=1e-6)
    np.testing.assert_allclose(metrics["weight/reward"], 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(metrics["weighted/reward"], 2.0, rtol=1e-6)
    # σ*(6) = (6 + sqrt(36 + 24)) / 2 = 6.8729833
    np.testing.assert_allclose(np.exp(metrics["log_sigma_star/reward"]), 6.8729833, rtol=1e-6)


def test_the_released_dynamics_task_scales_only_the_regularizer():
    loss = {"dyn": jnp.float32(1.2), "rep": jnp.float32(1.2)}
    balancer = make("harmony", {"dynamics": Task({"dyn": 0.5, "rep": 0.5}, regularizer=0.25)})
    total, _ = balancer.apply(*balancer.init(), loss)
    np.testing.assert_allclose(total, 1.2 + 0.25 * np.log(2), rtol=1e-6)


def descend(method, draw, steps=6000):
    """Trains log σ by Adam with a learning rate that decays to zero; returns it."""
    balancer = make(method, TASKS)
    optimizer = optax.adam(optax.cosine_decay_schedule(0.05, steps))

    def step(carry, key):
        params, opt_state = carry
        slopes, _ = jax.grad(balancer.apply, has_aux=True)(params, {}, draw(key))
        updates, opt_state = optimizer.update(slopes, opt_state)
        return (optax.apply_updates(params, updates), opt_state), None

    params, _ = balancer.init()
    keys = jax.random.split(jax.random.key(0), steps)
    return jax.jit(lambda c: jax.lax.scan(step, c, keys)[0][0])((params, optimizer.init(params)))


MEANS = {"image": 150.0, "reward": 0.02, "dyn": 1.5, "rep": 1.5}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", ["constant", "exponential"])
def test_adam_finds_the_optimum(method, noise):
    # An exponential distribution has a standard deviation as large as its mean.
    def draw(key):
        keys = dict(zip(MEANS, jax.random.split(key, len(MEANS)), strict=True))
        if noise == "constant":
            return {k: jnp.float32(v) for k, v in MEANS.items()}
        return {
            k: jnp.float32(v) * jax.random.exponential(keys[k], [256]) for k, v in MEANS.items()
        }

    with jax.numpy_dtype_promotion("standard"):  # optax's schedules mix dtypes
        params = descend(method, draw)
    for name, task in TASKS.items():
        loss = sum(weight * MEANS[key] for key, weight in task.losses.items())
        sigma = float(jnp.exp(params["log_sigma"][name]))
        tolerance = 1e-3 if noise == "constant" else 0.02
        np.testing.assert_allclose(sigma, optimum(method, loss, task), rtol=tolerance, err_msg=name)
        if task.regularizer == 1.0 and method == "harmony":
            weighted = 2 / (1 + np.sqrt(1 + 4 / loss))
            np.testing.assert_allclose(loss / sigma, weighted, rtol=tolerance)
            assert loss / sigma < 1


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=25, deadline=None)
@given(exponent=st.floats(-20, 35))
def test_the_gradient_of_log_sigma_is_zero_at_the_reported_optimum(method, exponent):
    losses = {key: jnp.float32(10.0**exponent) for key in MEANS}
    balancer = make(method, TASKS)
    params, _ = balancer.init()
    _, metrics = balancer.apply(params, {}, losses)
    star = {name: metrics[f"log_sigma_star/{name}"] for name in TASKS}
    for name, s in star.items():
        want = np.log(optimum(method, float(losses["image"]), TASKS[name]))
        np.testing.assert_allclose(s, want, rtol=1e-6, atol=1e-5)
    gradient, metrics = jax.grad(balancer.apply, has_aux=True)({"log_sigma": star}, {}, losses)
    for name in TASKS:
        scale = float(metrics[f"weighted/{name}"])
        assert abs(float(gradient["log_sigma"][name])) < 1e-4 * scale


def test_rectification_bounds_the_weight_of_a_small_loss():
    losses = {key: jnp.float32(1e-6) for key in MEANS}
    stars = {}
    for method in ("harmony", "harmony_unrectified"):
        balancer = make(method, TASKS)
        stars[method] = balancer.apply(*balancer.init(), losses)[1]["log_sigma_star/reward"]
    np.testing.assert_allclose(np.exp(-stars["harmony_unrectified"]), 1e6, rtol=1e-4)
    np.testing.assert_allclose(np.exp(-stars["harmony"]), 1e3, rtol=1e-3)


@pytest.mark.parametrize("s", [89.0, 1000.0, 1e30])
def test_the_regularizer_never_overflows(s):
    # exp(89) is beyond float32, log(1 + exp(s)) is s.
    balancer = make("harmony", {"reward": Task({"reward": 1.0})})
    params = {"log_sigma": {"reward": jnp.float32(s)}}
    (total, _), slope = jax.value_and_grad(balancer.apply, has_aux=True)(
        params, {}, {"reward": jnp.float32(2.0)}
    )
    np.testing.assert_allclose(total, s, rtol=1e-6)
    np.testing.assert_allclose(slope["log_sigma"]["reward"], 1.0)


@pytest.mark.parametrize("method", ["harmony", "harmony_unrectified", "uncertainty"])
def test_first_loss_starts_at_the_optimum_of_the_first_update(method):
    balancer = make(method, TASKS, init="first_loss")
    params, state = balancer.init()
    first = {name: jnp.float32(loss) for name, loss in zip(("image", "reward"), (200.0, 0.01))}
    first = {
        loss: first.get(loss, jnp.float32(3.0)) for task in TASKS.values() for loss in task.losses
    }
    state = balancer.update(state, first)
    slopes, metrics = jax.grad(balancer.apply, has_aux=True)(params, state, first)
    for name in balancer.free_names:
        star = metrics[f"log_sigma_star/{name}"]
        assert float(metrics[f"log_sigma/{name}"]) == pytest.approx(float(star), abs=1e-6)
        assert float(slopes["log_sigma"][name]) == pytest.approx(0, abs=1e-3)
    # Later losses move nothing but the optimum; what is trained adds to the start.
    later = {name: 10 * loss for name, loss in first.items()}
    after = balancer.update(state, later)
    jax.tree.map(np.testing.assert_array_equal, after, state)
    trained = {"log_sigma": {name: jnp.float32(0.5) for name in params["log_sigma"]}}
    moved = balancer.apply(trained, after, later)[1]
    for name in balancer.free_names:
        expected = float(metrics[f"log_sigma/{name}"]) + 0.5
        assert float(moved[f"log_sigma/{name}"]) == pytest.approx(expected, abs=1e-6)


def test_first_loss_by_hand():
    """A loss of 2 has sigma* = (2 + sqrt(4 + 8)) / 2 = 2.7320508 (HarmonyDream Eq. 13)."""
    balancer = make("harmony", {"reward": Task({"reward": 1.0})}, init="first_loss")
    params, state = balancer.init()
    state = balancer.update(state, {"reward": jnp.array([1.0, 3.0])})
    _, metrics = balancer.apply(params, state, {"reward": jnp.array([1.0, 3.0])})
    assert float(metrics["weight/reward"]) == pytest.approx(1 / 2.7320508, rel=1e-6)


def test_a_wrong_init_is_named():
    with pytest.raises(BalanceError, match="one of one, first_loss, not 'first'; did you mean"):
        make("harmony", TASKS, init="first")
    with pytest.raises(BalanceError, match="'dwa' has no option 'init'"):
        make("dwa", TASKS, init="first_loss")
