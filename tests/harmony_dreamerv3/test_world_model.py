"""The world model against an independent float64 one, and what its batches may not mix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference as ref
import tiny

from embodied.core.errors import UserError
from harmony_dreamerv3.nets.rssm import features

VECTORS = ["position", "speed"]


@pytest.fixture(scope="module")
def made():
    """A harmonized agent of vectors that draws modes, parameters nowhere zero, a batch."""
    agent = tiny.make_agent(sampling=False, balance__method="harmony")
    state = jax.jit(agent.init)(jax.random.key_data(jax.random.key(0)))
    rng = np.random.default_rng(1)
    params = jax.tree.map(
        lambda x: x + 0.2 * rng.normal(size=x.shape).astype(np.float32), state.params
    )
    batch = tiny.make_batch(agent, size=3, length=5)
    batch["is_first"][1, 3] = True
    batch["is_terminal"][1, 2] = batch["is_last"][1, 2] = True
    batch["reward"][0, 1] = 1e6
    batch["action"] = batch["action"] * np.float32(1.7)  # Beyond 1: they are scaled.
    return agent, state, params, batch


@pytest.fixture(scope="module")
def losses_of(made):
    agent, _, params, _ = made
    c = agent.config.agent.rssm

    @jax.jit
    def run(batch):
        noise = jnp.zeros((*batch["is_first"].shape, c.stoch, c.classes))
        return agent.wm.losses(params["world_model"], batch, noise)

    return lambda batch: jax.device_get(run(batch))


def test_every_loss_is_that_of_the_formulas(made, losses_of):
    agent, _, params, batch = made
    losses, aux = losses_of(batch)
    big = jax.tree.map(lambda x: np.asarray(x, np.float64), params["world_model"])
    c = agent.config.agent.rssm
    expected = ref.world_model(big, batch, VECTORS, c.stoch, c.classes)
    np.testing.assert_allclose(features(aux["post"]), expected["feat"], atol=2e-5)
    assert set(losses) == set(expected["losses"])
    for name, value in expected["losses"].items():
        np.testing.assert_allclose(losses[name], value, rtol=2e-4, atol=1e-5, err_msg=name)
    assert (expected["losses"]["dyn"] > 1).any()  # Free nats do not hide it all.


@pytest.mark.parametrize("regularizer", ["paper", "released"])
def test_harmonized_vectors(made, losses_of, regularizer):
    """Golden by hand for what the released code leaves out: vectors are harmonized too."""
    _, state, params, batch = made
    agent = tiny.make_agent(
        sampling=False, balance__method="harmony", balance__dyn_regularizer=regularizer
    )
    s = {"observation": 0.7, "reward": -0.4, "dynamics": 0.2}
    params = {**params, "balance": {"log_sigma": jax.tree.map(jnp.float32, s)}}
    c = agent.config.agent.rssm
    noise = jnp.zeros((*batch["is_first"].shape, c.stoch, c.classes))
    model = {name: params[name] for name in ("world_model", "balance")}
    total, grads = jax.jit(
        jax.value_and_grad(lambda p, b: agent.model_loss(p, state, b, noise)[0])
    )(model, batch)
    big = jax.tree.map(lambda x: np.asarray(x, np.float64), params["world_model"])
    losses = ref.world_model(big, batch, VECTORS, c.stoch, c.classes)["losses"]
    mean = {name: float(value.mean()) for name, value in losses.items()}
    mean["observation"] = mean.pop("position") + mean.pop("speed")
    alpha = 0.5 / 0.6
    expected = ref.harmonized(mean, s, alpha)
    share = 1.0 if regularizer == "paper" else alpha
    expected -= (1 - share) * np.log(1 + np.exp(s["dynamics"]))
    assert float(total) == pytest.approx(expected, rel=1e-4)
    tasks = {"observation": mean["observation"], "reward": mean["reward"]}
    tasks["dynamics"] = alpha * mean["dyn"] + (1 - alpha) * mean["rep"]
    for name, loss in tasks.items():
        # d/ds (L exp(-s) + log(1 + exp s)) = -L exp(-s) + sigmoid(s).
        part = share if name == "dynamics" else 1.0
        slope = -loss * np.exp(-s[name]) + part * ref.sigmoid(s[name])
        assert float(grads["balance"]["log_sigma"][name]) == pytest.approx(slope, rel=1e-3)


def test_rows_are_independent(made, losses_of):
    batch = made[3]
    other = {key: value.copy() for key, value in batch.items()}
    for key in ("position", "speed", "reward", "action"):
        other[key][1] = other[key][1][::-1] * 3 + 1
    before, after = losses_of(batch)[0], losses_of(other)[0]
    for name in before:
        np.testing.assert_array_equal(before[name][[0, 2]], after[name][[0, 2]])
    assert not np.allclose(before["reward"][1], after["reward"][1])


def test_a_reset_inside_a_window_is_a_fresh_window(made, losses_of):
    batch = made[3]
    fresh = {key: np.concatenate([v[:, 3:], v[:, :3]], 1) for key, v in batch.items()}
    fresh["is_first"][1] = [True, False, True, False, False]
    whole, part = losses_of(batch)[0], losses_of(fresh)[0]
    for name in whole:
        np.testing.assert_allclose(whole[name][1, 3:], part[name][1, :2], rtol=1e-5)
        if name != "cont":
            assert not np.allclose(whole[name][0, 3:], part[name][0, :2]) or name in ("dyn", "rep")


def test_the_future_does_not_reach_the_past(made, losses_of):
    batch = made[3]
    other = {key: value.copy() for key, value in batch.items()}
    for key in ("position", "speed", "action"):
        other[key][:, 3:] += 1
    before, after = losses_of(batch)[0], losses_of(other)[0]
    for name in before:
        np.testing.assert_array_equal(before[name][:, :3], after[name][:, :3])


def test_gradients_do_not_depend_on_the_order_of_the_batch(made):
    agent, state, params, batch = made
    agent = tiny.make_agent(balance__method="harmony")  # This one draws.
    c = agent.config.agent.rssm
    noise = jax.random.gumbel(jax.random.key(3), (*batch["is_first"].shape, c.stoch, c.classes))
    model = {name: params[name] for name in ("world_model", "balance")}
    grad = jax.jit(jax.grad(lambda p, b, n: agent.model_loss(p, state, b, n)[0]))
    order = np.array([2, 0, 1])
    first = grad(model, batch, noise)
    second = grad(model, {key: value[order] for key, value in batch.items()}, noise[order])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5 * np.abs(a).max() + 1e-7),
        first,
        second,
    )
    mixed = grad(model, batch, noise[order])  # Other draws: the test can tell.
    a, b = (g["world_model"]["rssm"]["gru"]["kernel"] for g in (first, mixed))
    assert not np.allclose(a, b, atol=2e-5 * np.abs(a).max())


def test_grad_heads_stop_gradients(made):
    agent = tiny.make_agent(sampling=False, grad_heads=["decoder", "reward"])
    _, _, params, batch = made
    c = agent.config.agent.rssm
    noise = jnp.zeros((*batch["is_first"].shape, c.stoch, c.classes))

    def cont(p, b):
        return agent.wm.losses(p, b, noise)[0]["cont"].mean()

    grads = jax.jit(jax.grad(cont))(params["world_model"], batch)
    assert any(np.any(x) for x in jax.tree.leaves(grads["cont"]))
    assert not any(np.any(x) for x in jax.tree.leaves((grads["rssm"], grads["encoder"])))


def test_keys_and_sizes_that_cannot_be():
    with pytest.raises(UserError, match="match none of the observations"):
        tiny.make_agent(encoder__mlp_keys="nothing")
    with pytest.raises(UserError, match=r"24x24.*minres"):
        tiny.make_agent(tiny.spaces(image=24))
    agent = tiny.make_agent({**tiny.spaces(image=16), "log_x": tiny.spaces(vectors={"a": 2})["a"]})
    assert (*agent.wm.images, *agent.wm.vectors) == ("image",)
