"""From the configuration to the tasks of a balancer."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from embodied.core.errors import UserError
from harmony_dreamerv3 import loss_tasks

IMAGES, VECTORS = {"image": (8, 8, 3)}, {"position": (3,), "speed": (2,)}


def make(images=IMAGES, vectors=VECTORS, **flags):
    """The balancer and the tasks of a configuration, without any world model."""
    config = tiny.make_config(**flags)
    scales = dataclasses.asdict(config.agent.loss_scales)
    losses = loss_tasks.describe(images, vectors, scales)
    balancer = loss_tasks.make_balancer(config.balance, losses)
    return balancer, loss_tasks.make_tasks(config.balance, losses)


def tasks_of(**flags):
    return make(**flags)[1]


def test_fixed_is_the_sum_of_scaled_losses():
    balancer, _ = make(loss_scales__vector=0.25, loss_scales__reward=3.0)
    names = ("image", "position", "speed", "reward", "cont", "dyn", "rep")
    losses = {n: jnp.full((2, 2), float(i + 1)) for i, n in enumerate(names)}
    # image 1, position 2, speed 3, reward 4, cont 5, dyn 6, rep 7.
    params, state = balancer.init()
    total, _ = balancer.apply(params, state, losses)
    assert float(total) == pytest.approx(1 + 0.25 * (2 + 3) + 3 * 4 + 5 + 0.5 * 6 + 0.1 * 7)


def test_harmony_takes_all_observations_as_one_task():
    tasks = tasks_of(balance__method="harmony")
    assert dict(tasks["observation"].losses) == {"image": 1, "position": 1, "speed": 1}
    assert tasks["dynamics"].losses == pytest.approx({"dyn": 5 / 6, "rep": 1 / 6})
    assert [task.regularizer for task in tasks.values()] == [1.0] * 4
    assert tasks["cont"].fixed == 1.0 and tasks["reward"].fixed is None


def test_flags_of_the_released_code():
    tasks = tasks_of(
        balance__method="harmony", balance__vectors=False, balance__dyn_regularizer="released"
    )
    assert dict(tasks["observation"].losses) == {"image": 1}
    assert tasks["position"].fixed == tasks["speed"].fixed == 1.0
    assert tasks["dynamics"].regularizer == pytest.approx(5 / 6)
    assert tasks["observation"].regularizer == tasks["reward"].regularizer == 1.0


def test_the_released_code_harmonizes_only_a_key_called_image():
    tasks = tasks_of(images={"front": (8, 8, 3)}, balance__method="harmony", balance__vectors=False)
    assert "observation" not in tasks and tasks["front"].fixed == 1.0


def test_scales_act_through_alpha():
    tasks = tasks_of(balance__method="harmony", loss_scales__dyn=0.3, loss_scales__rep=0.1)
    assert tasks["dynamics"].losses == pytest.approx({"dyn": 0.75, "rep": 0.25})


@pytest.mark.parametrize("name", ["image", "vector", "reward", "cont"])
def test_other_scales_are_errors_where_they_would_have_no_effect(name):
    with pytest.raises(UserError, match=rf"loss_scales.{name}.*balance.weights"):
        tasks_of(balance__method="harmony", **{f"loss_scales__{name}": 2.0})
    tasks_of(balance__method="fixed", **{f"loss_scales__{name}": 2.0})


def test_cont_can_be_weighted_as_a_task():
    flags = {"balance.tasks.cont": "{cont: 1.0}", "balance.weights.cont": 2.0}
    tasks = tasks_of(balance__method="harmony", **flags)
    assert tasks["cont"].fixed == 2.0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"balance.dyn_regularizer": "none"}, "expected one of .*paper.*got 'none'"),
        ({"balance.weights.rewards": 2.0}, "'rewards'; did you mean 'reward'"),
        ({"balance.tasks.reward": "{rewrad: 1}"}, "rewrad.*reward"),
        ({"balance.tasks.reward.reward": "beta"}, "expected a number, alpha or 1-alpha"),
        ({"loss_scales.dyn": 0.0, "loss_scales.rep": 0.0}, "> 0, got 0.0 and 0.0"),
        ({"balance.method": "harmoni"}, "harmoni.*harmony"),
    ],
)
def test_mistakes(flags, message):
    with pytest.raises(UserError, match=message):
        tasks_of(**{"balance__method": "harmony", **flags})


@pytest.mark.parametrize("loss", [0.02, 1.0, 250.0])
def test_optimum_of_harmony(loss):
    """1 / sigma = 2 / (L + sqrt(L^2 + 4 L)), harmonized loss 2 / (1 + sqrt(1 + 4 / L)) < 1."""
    balancer, _ = make(images={}, balance__method="harmony")
    losses = {name: jnp.zeros((1, 1)) for name in (*VECTORS, "reward", "cont", "dyn", "rep")}
    losses["reward"] = jnp.full((1, 1), loss)
    params, state = balancer.init()

    def total(s):
        changed = {"log_sigma": {**params["log_sigma"], "reward": s}}
        return balancer.apply(changed, state, losses)[0]

    sigma = (loss + np.sqrt(loss**2 + 4 * loss)) / 2
    rest = 2 * np.log(2)  # Observation and dynamics: zero losses, sigma 1.
    value, slope = jax.value_and_grad(total)(jnp.float32(np.log(sigma)))
    harmonized = float(value) - rest
    # L / sigma is the bounded part, log(1 + sigma) its regularizer.
    assert float(slope) == pytest.approx(0, abs=1e-5)
    weighted = harmonized - np.log(1 + sigma)
    assert weighted == pytest.approx(2 / (1 + np.sqrt(1 + 4 / loss)), abs=1e-5)
    assert weighted < 1


def test_dims_are_the_scalars_of_a_task():
    tasks = tasks_of(balance__method="uncertainty")
    assert tasks["observation"].dims == 8 * 8 * 3 + 3 + 2
    # dyn and rep are one KL, whose gradient is split.
    assert tasks["reward"].dims == tasks["dynamics"].dims == 1


def test_numbers_inside_a_task_are_units_under_every_method():
    flags = {"balance__tasks__observation__image": 100.0, "balance__tasks__dynamics__rep": 2.0}
    learned = tasks_of(balance__method="harmony", **flags)
    assert learned["observation"].losses["image"] == 100
    assert learned["dynamics"].losses == pytest.approx({"dyn": 5 / 6, "rep": 2})
    plain = tasks_of(loss_scales__image=3.0, **flags)
    assert plain["observation"].losses["image"] == 300
    assert plain["dynamics"].losses == {"dyn": 0.5, "rep": 0.2}


def test_a_task_cannot_take_the_name_of_a_loss_of_its_own():
    with pytest.raises(UserError, match="give the task another name"):
        tasks_of(balance__method="harmony", balance__tasks={"cont": {"vector": 1.0}})


def trained(method, updates=1, **flags):
    agent = tiny.make_agent(balance__method=method, **flags)
    state = jax.jit(agent.init)(jax.random.key_data(jax.random.key(0)))
    step, seen = jax.jit(agent.train_step), []
    with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes
        for number in range(updates):
            state, _, metrics = step(state, tiny.make_batch(agent, seed=number))
            seen.append({k: float(v) for k, v in metrics.items()})
    return agent, state, seen


NAMES = ("observation", "reward", "dynamics")


def weights(seen, kind="weight"):
    return np.array([seen[f"balance/{kind}/{name}"] for name in NAMES])


def test_reciprocal_follows_the_losses_of_each_update():
    _, _, seen = trained("reciprocal", 2)
    for metrics in seen:
        np.testing.assert_allclose(weights(metrics), 1 / weights(metrics, "loss"), rtol=1e-5)


def test_dwa_follows_the_rates_of_its_windows():
    _, _, seen = trained("dwa", 4, balance__options__window=1, balance__options__temperature=2.0)
    np.testing.assert_array_equal([weights(m) for m in seen[:2]], np.ones((2, 3)))
    for older, newer, now in zip(seen, seen[1:], seen[2:]):
        rate = np.exp(weights(newer, "loss") / weights(older, "loss") / 2)
        np.testing.assert_allclose(weights(now), 3 * rate / rate.sum(), rtol=1e-5)


def test_task_gradients_are_those_of_each_task_by_all_shared_parameters():
    agent, state, _ = trained("nashmtl")
    batch = jax.tree.map(jnp.asarray, tiny.make_batch(agent))
    c = agent.config.agent.rssm
    noise = jnp.zeros((*batch["is_first"].shape, c.stoch, c.classes))
    model = state.params["world_model"]
    shared = {name: model[name] for name in ("encoder", "rssm")}

    def losses_by(parts):
        return agent.wm.losses({**model, **parts}, batch, noise)[0]

    grads = jax.jit(functools.partial(loss_tasks.task_grads, agent.balancer, losses_by))(shared)

    def totals(parts):
        losses, _ = agent.wm.losses({**model, **parts}, batch, noise)
        means = {key: value.mean() for key, value in losses.items()}
        return {
            "observation": means["position"] + means["speed"],
            "reward": means["reward"],
            "dynamics": 5 / 6 * means["dyn"] + 1 / 6 * means["rep"],
        }

    expected = jax.jit(jax.jacrev(totals))(shared)
    for index, name in enumerate(NAMES):
        mine = jax.tree.map(lambda x, index=index: x[index], grads)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6),
            mine, expected[name],
        )  # fmt: skip


def test_nashmtl_weighs_each_total_with_a_solution_of_its_own():
    # The reward head starts from zeros, so its gradient, too, and there is nothing to bargain for.
    _, _, seen = trained("nashmtl", 4, free_nats=0.0)
    assert all(metrics["balance/residual"] < 1e-4 for metrics in seen[1:])
    assert (weights(seen[2]) != 1).all() and (weights(seen[2]) != weights(seen[3])).all()


def test_the_agent_describes_its_losses():
    agent = tiny.make_agent(tiny.spaces(image=8, vectors={"position": 3, "speed": 2}))
    names = ("image", "position", "speed", "reward", "cont", "dyn", "rep")
    assert (*agent.wm.images, *agent.wm.vectors) == names[:3]
    losses = {name: jnp.ones((1, 1)) for name in names}
    params, state = agent.balancer.init()
    assert float(agent.balancer.apply(params, state, losses)[0]) == pytest.approx(5.6)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"init": "first_loss", "method": "dwa"}, "'dwa' has no option 'init'"),
        ({"init": "first"}, "balance.init: expected one of one, first_loss, got 'first'; did you"),
        ({"lr": -1.0}, "balance.lr must be at least 0"),
    ],
)
def test_mistakes_about_learned_weights(flags, message):
    with pytest.raises(UserError, match=message):
        tasks_of(**{f"balance__{key}": value for key, value in flags.items()})
    make(balance__lr=0.1, balance__init="first_loss")  # Nothing is learned under fixed.


def fit(updates, batch_seed=0, **flags):
    """Trains on one batch; yields what `log sigma - log sigma*` was in the last update."""
    agent = tiny.make_agent(balance__method="harmony", **flags)
    state = jax.jit(agent.init)(jax.random.key_data(jax.random.key(0)))
    step, batch = jax.jit(agent.train_step), tiny.make_batch(agent, seed=batch_seed)
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(updates):
            state, _, metrics = step(state, batch)
    return state, np.abs(weights(metrics, "log_sigma") - weights(metrics, "log_sigma_star"))


@pytest.mark.parametrize("init", ["one", "first_loss"])
def test_weights_with_a_learning_rate_of_their_own_arrive(init):
    _, distance = fit(500, balance__lr=0.03, balance__init=init)
    assert (distance < 0.1).all()


def test_weights_trained_like_the_model_do_not():
    assert fit(500)[1].max() > 1.0


def test_first_loss_is_where_weights_start_and_is_saved():
    state, distance = fit(1, balance__init="first_loss")
    assert (distance < 1e-5).all()
    assert bool(state.balance["started"]) and set(state.balance["offset"]) == set(NAMES)


def test_a_learning_rate_of_its_own_moves_nothing_but_the_weights():
    # Below the norm that clips, the model's update does not know of the balancer's gradient.
    with_own, _ = fit(1, balance__lr=0.5)
    without, _ = fit(1)
    jax.tree.map(
        np.testing.assert_array_equal, with_own.params["world_model"], without.params["world_model"]
    )
    sigma = with_own.params["balance"]["log_sigma"]
    assert all(abs(float(value)) == pytest.approx(0.5, rel=1e-3) for value in sigma.values())
    assert set(with_own.opt["model"]) == {"model", "balance"}
