import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.balance import METHODS, BalanceError, Task, check_tasks, make
from harmony_dreamerv3.balance.tasks import nearest

TASKS = {
    "reward": Task({"reward": 1.0}),
    "dynamics": Task({"dyn": 5 / 6, "rep": 1 / 6}),
    "cont": Task({"cont": 1.0}, fixed=1.0),
}


def test_a_task_is_the_weighted_sum_of_the_means_of_its_losses():
    losses = {
        "reward": jnp.array([[1.0, 2.0], [3.0, 6.0]]),  # mean 3
        "dyn": jnp.array([6.0, 18.0]),  # mean 12
        "rep": jnp.float32(6.0),
        "cont": jnp.array([0.5]),
    }
    values = make("fixed", TASKS).task_losses(losses)
    assert list(values) == ["reward", "dynamics", "cont"]
    np.testing.assert_allclose(values["reward"], 3.0)
    np.testing.assert_allclose(values["dynamics"], 12 * 5 / 6 + 6 / 6, rtol=1e-6)
    np.testing.assert_allclose(values["cont"], 0.5)


def test_bfloat16_losses_are_averaged_in_float32():
    # A running bfloat16 sum of ones is stuck at 256.
    losses = {"reward": jnp.ones([4096], jnp.bfloat16), "dyn": jnp.bfloat16(0.0)}
    losses |= {"rep": jnp.bfloat16(0.0), "cont": jnp.bfloat16(0.0)}
    value = make("fixed", TASKS).task_losses(losses)["reward"]
    assert value.dtype == jnp.float32
    assert float(value) == 1.0


def test_a_partition_of_the_losses_passes():
    check_tasks(TASKS, ["cont", "rep", "dyn", "reward"])


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({**TASKS, "observation": Task({"imgae": 1.0})}, "'imgae'.*did you mean 'image'"),
        ({**TASKS, "observation": Task({"image": 1, "cont": 1})}, "'cont' is in two tasks, 'cont'"),
        (TASKS, "In no task: 'image'"),
    ],
)
def test_tasks_that_do_not_fit_the_losses_are_refused(tasks, message):
    with pytest.raises(BalanceError, match=message):
        check_tasks(tasks, ["reward", "dyn", "rep", "cont", "image"])


def test_a_missing_loss_is_found_when_the_balancer_is_traced():
    with pytest.raises(BalanceError, match="'rep', which does not exist"):
        make("harmony", TASKS).task_losses({"reward": jnp.ones(2), "dyn": 1.0, "cont": 1.0})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"losses": {}}, "at least one loss"),
        ({"losses": {"a": -1.0}}, "loss 'a'"),
        ({"losses": {"a": float("nan")}}, "loss 'a'"),
        ({"losses": {"a": "1"}}, "loss 'a'"),
        ({"losses": {"a": 1.0}, "regularizer": 0.0}, "regularizer"),
        ({"losses": {"a": 1.0}, "dims": 0}, "dims"),
        ({"losses": {"a": 1.0}, "dims": 2.5}, "dims"),
        ({"losses": {"a": 1.0}, "fixed": -1.0}, "fixed weight"),
    ],
)
def test_a_task_checks_its_values(values, message):
    with pytest.raises(BalanceError, match=message):
        Task(**values)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("harmonny", {}, "did you mean 'harmony'.*Methods: fixed, harmony"),
        ("dwa", {"temprature": 2}, "no option 'temprature'; did you mean 'temperature'"),
        ("harmony", {"window": 5}, "no option 'window'.*Options: init"),
        ("dwa", {"temperature": 0}, "temperature"),
        ("dwa", {"window": 0}, "window"),
        ("reciprocal", {"floor": 0.0}, "floor"),
        ("nashmtl", {"interval": 0}, "interval"),
        ("nashmtl", {"normalization": "frobenios"}, "did you mean 'frobenius'"),
        ("fixed", {"weights": {"rewrad": 1}}, "did you mean 'reward'"),
        ("fixed", {"weights": {"cont": 2}}, "'cont' has a weight of its own"),
        ("fixed", {"weights": {"reward": -1}}, "finite"),
    ],
)
def test_make_names_the_nearest_right_word(method, options, message):
    with pytest.raises(BalanceError, match=message):
        make(method, TASKS, **options)


@pytest.mark.parametrize("method", METHODS)
def test_make_refuses_bad_tasks(method):
    with pytest.raises(BalanceError, match="at least one task"):
        make(method, {})
    with pytest.raises(BalanceError, match="in two tasks"):
        make(method, {"a": Task({"x": 1.0}), "b": Task({"x": 1.0})})


@pytest.mark.parametrize("method", METHODS)
def test_with_every_task_fixed_each_method_is_a_constant_sum(method):
    balancer = make(method, {"a": Task({"x": 1.0}, fixed=2.0), "b": Task({"y": 1.0}, fixed=0.0)})
    params, state = balancer.init()
    losses = {"x": jnp.float32(3.0), "y": jnp.float32(5.0)}
    total, metrics = balancer.apply(params, balancer.update(state, losses), losses)
    assert not balancer.needs_task_grads
    assert float(total) == 6.0
    assert float(metrics["weight/b"]) == 0.0


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_mean_of_large_losses_is_their_mean(dtype):
    balancer = make("harmony", {"a": Task({"x": 1.0})})
    losses = {"x": jnp.full((16, 64), 1e36, dtype)}  # Their sum is no float32.
    params = jax.tree.map(lambda s: jnp.full_like(s, 80.0), balancer.init()[0])
    total, metrics = balancer.apply(params, balancer.init()[1], losses)
    assert float(metrics["loss/a"]) == pytest.approx(1e36, rel=1e-2)
    assert float(total) == pytest.approx(1e36 * np.exp(-80) + 80, rel=1e-2)


def test_the_nearest_name_is_asked_for():
    assert nearest("harmny", ["dwa", "harmony"]) == "; did you mean 'harmony'?"
    assert nearest("xyz", ["dwa", "harmony"]) == ""


def test_it_is_an_error_of_values():
    with pytest.raises(ValueError, match="wrong"):
        raise BalanceError("wrong")
