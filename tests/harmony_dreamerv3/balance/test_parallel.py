"""Data parallelism over two devices gives the numbers of one device."""

import os
import subprocess
import sys

PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
from harmony_dreamerv3.balance import METHODS, Task, make

TASKS = {"a": Task({"a": 1.0}), "b": Task({"b": 1.0}, dims=4), "c": Task({"c": 1.0}, fixed=1.0)}
x = np.random.default_rng(0).uniform(0.5, 2, [8, 5]).astype(np.float32)
w = jnp.linspace(0.5, 1.5, 5)
mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

def model(w, x):
    return {"a": (x @ w) ** 2, "b": 100 * (x @ w - 1) ** 2, "c": jnp.abs(x @ w)}

def step(balancer, params, state, w, x, mean):
    losses = {k: mean(jnp.mean(v)) for k, v in model(w, x).items()}
    grads = None
    if balancer.needs_task_grads:
        free = lambda w: jnp.stack([mean(jnp.mean(model(w, x)[k])) for k in "ab"])
        grads = jax.jacrev(free)(w)
    state = balancer.update(state, losses, grads)
    total = lambda p, w: mean(balancer.apply(p, state, model(w, x))[0])
    return state, jax.value_and_grad(total, (0, 1))(params, w)

for method in METHODS:
    balancer = make(method, TASKS, **({"window": 1} if method == "dwa" else {}))
    params, state = balancer.init()
    alone = jax.jit(lambda p, s, w, x: step(balancer, p, s, w, x, lambda y: y))
    state, _ = alone(params, state, 2 * w, x)
    one = alone(params, state, w, x)
    # jit: the arrays are global, so the means are too.
    sharded = jax.device_put(x, NamedSharding(mesh, P("data")))
    run = jax.jit(lambda p, s, w, x: step(balancer, p, s, w, x, lambda y: y))
    two = run(params, state, w, sharded)
    # shard_map: each device sees its share, and the caller averages over the axis.
    pmean = lambda y: jax.lax.pmean(y, "data")
    run = jax.jit(jax.shard_map(
        lambda p, s, w, x: step(balancer, p, s, w, x, pmean),
        mesh=mesh, in_specs=(P(), P(), P(), P("data")), out_specs=P()))
    three = run(params, state, w, sharded)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5)
    jax.tree.map(close, one, two)
    jax.tree.map(close, one, three)
    print("same", method)
"""


def test_sharded_batches_give_the_numbers_of_one_device():
    flags = "--xla_force_host_platform_device_count=2"
    env = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("same") == 7
