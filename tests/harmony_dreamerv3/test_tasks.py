"""From the configuration to the tasks of a balancer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from embodied.core.errors import UserError
from harmony_dreamerv3 import tasks

MIXED = tiny.spaces(image=8, vectors={"position": 3, "speed": 2})


def made(**flags):
    agent = tiny.make_agent(MIXED, **flags)
    return tasks.make_tasks(agent.config, agent.wm)


def test_fixed_is_the_sum_of_scaled_losses():
    agent = tiny.make_agent(MIXED, loss_scales__vector=0.25, loss_scales__reward=3.0)
    losses = {n: jnp.full((2, 2), float(i + 1)) for i, n in enumerate(agent.wm.loss_names)}
    # image 1, position 2, speed 3, reward 4, cont 5, dyn 6, rep 7.
    assert tuple(losses) == ("image", "position", "speed", "reward", "cont", "dyn", "rep")
    params, state = agent.balancer.init()
    total, _ = agent.balancer.apply(params, state, losses)
    assert float(total) == pytest.approx(1 + 0.25 * (2 + 3) + 3 * 4 + 5 + 0.5 * 6 + 0.1 * 7)


def test_harmony_takes_all_observations_as_one_task():
    found = made(balance__method="harmony")
    assert dict(found["observation"].losses) == {"image": 1, "position": 1, "speed": 1}
    assert found["dynamics"].losses == pytest.approx({"dyn": 5 / 6, "rep": 1 / 6})
    assert [task.regularizer for task in found.values()] == [1.0] * 4
    assert found["cont"].fixed == 1.0 and found["reward"].fixed is None


def test_flags_of_the_released_code():
    found = made(
        balance__method="harmony", balance__vectors=False, balance__dyn_regularizer="released"
    )
    assert dict(found["observation"].losses) == {"image": 1}
    assert found["position"].fixed == found["speed"].fixed == 1.0
    assert found["dynamics"].regularizer == pytest.approx(5 / 6)
    assert found["observation"].regularizer == found["reward"].regularizer == 1.0


def test_the_released_code_harmonizes_only_a_key_called_image():
    spaces = {"front": MIXED["image"], **{k: v for k, v in MIXED.items() if k != "image"}}
    agent = tiny.make_agent(spaces, balance__method="harmony", balance__vectors=False)
    found = tasks.make_tasks(agent.config, agent.wm)
    assert "observation" not in found and found["front"].fixed == 1.0


def test_scales_act_through_alpha():
    found = made(balance__method="harmony", loss_scales__dyn=0.3, loss_scales__rep=0.1)
    assert found["dynamics"].losses == pytest.approx({"dyn": 0.75, "rep": 0.25})


@pytest.mark.parametrize("name", ["image", "vector", "reward", "cont"])
def test_other_scales_are_errors_where_they_would_have_no_effect(name):
    with pytest.raises(UserError, match=rf"loss_scales.{name}.*balance.weights"):
        made(balance__method="harmony", **{f"loss_scales__{name}": 2.0})
    made(balance__method="fixed", **{f"loss_scales__{name}": 2.0})


def test_cont_can_be_weighted_as_a_task():
    flags = {"balance.tasks.cont": "{cont: 1.0}", "balance.weights.cont": 2.0}
    found = made(balance__method="harmony", **flags)
    assert found["cont"].fixed == 2.0


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
        made(**{"balance__method": "harmony", **flags})


@pytest.mark.parametrize("loss", [0.02, 1.0, 250.0])
def test_optimum_of_harmony(loss):
    """1 / sigma = 2 / (L + sqrt(L^2 + 4 L)), harmonized loss 2 / (1 + sqrt(1 + 4 / L)) < 1."""
    agent = tiny.make_agent(balance__method="harmony")
    losses = {name: jnp.zeros((1, 1)) for name in agent.wm.loss_names}
    losses["reward"] = jnp.full((1, 1), loss)
    params, state = agent.balancer.init()

    def total(s):
        changed = {"log_sigma": {**params["log_sigma"], "reward": s}}
        return agent.balancer.apply(changed, state, losses)[0]

    sigma = (loss + np.sqrt(loss**2 + 4 * loss)) / 2
    rest = 2 * np.log(2)  # Observation and dynamics: zero losses, sigma 1.
    value, slope = jax.value_and_grad(total)(jnp.float32(np.log(sigma)))
    harmonized = float(value) - rest
    # L / sigma is the bounded part, log(1 + sigma) its regularizer.
    assert float(slope) == pytest.approx(0, abs=1e-5)
    weighted = harmonized - np.log(1 + sigma)
    assert weighted == pytest.approx(2 / (1 + np.sqrt(1 + 4 / loss)), abs=1e-5)
    assert weighted < 1
