"""Assembly of a balancer from what a method says."""

import jax.numpy as jnp
import numpy as np

from harmony_dreamerv3.balance import Task, Terms, assemble, weighted

TASKS = {"a": Task({"x": 1.0, "y": 2.0}), "b": Task({"z": 1.0}, fixed=3.0), "c": Task({"u": 1.0})}
LOSSES = {"x": jnp.float32([1, 3]), "y": jnp.float32(0.5), "z": jnp.float32(2), "u": jnp.float32(4)}


def test_fixed_tasks_are_added_at_their_weight():
    """a = 1 * mean(1, 3) + 2 * 0.5 = 3, b = 2, c = 4: 0.5 * 3 + 3 * 2 + 0.25 * 4 = 8.5."""
    balancer = weighted(TASKS, {"weight": jnp.float32([0.5, 0.25])})
    params, state = balancer.init()
    total, metrics = balancer.apply(params, state, LOSSES)
    assert float(total) == 8.5 and params == {}
    assert balancer.task_names == ("a", "b", "c") and balancer.free_names == ("a", "c")
    assert float(metrics["weight/b"]) == 3 and float(metrics["weighted/a"]) == 1.5
    assert float(metrics["loss/a"]) == 3


def test_update_sees_the_losses_of_free_tasks_and_moves_the_state():
    seen = []

    def update(state, losses, task_grads):
        seen.append((np.asarray(losses), task_grads))
        return {"weight": state["weight"] + 1}

    balancer = weighted(TASKS, {"weight": jnp.zeros(2, jnp.float32)}, update)
    _, state = balancer.init()
    state = balancer.update(state, LOSSES, "gradients")
    np.testing.assert_array_equal(seen[0][0], [3, 4])
    assert seen[0][1] == "gradients"
    np.testing.assert_array_equal(state["weight"], [1, 1])


def test_a_penalty_is_added_and_metrics_are_reported():
    def terms(params, state, losses):
        weights = {name: jnp.float32(1) for name in losses}
        return Terms(weights, jnp.float32(10), {"mine": jnp.float32(7)})

    balancer = assemble(TASKS, lambda: ({}, {}), terms)
    total, metrics = balancer.apply({}, {}, LOSSES)
    assert float(total) == 10 + 3 + 6 + 4 and float(metrics["mine"]) == 7
    assert balancer.update({}, LOSSES) == {}
