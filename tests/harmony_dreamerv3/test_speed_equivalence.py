"""The agent's update against the plain one: losses, gradients, a whole update."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from embodied.core.space import Space
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.agents.dreamerv3 import Agent
from harmony_dreamerv3.nets.fast import plain

TINY = {
    r".*\.cnn_depth": 2, r".*\.units$": 8, r".*\.mlp_units": 8, r".*\.layers": 1,
    r".*\.mlp_layers": 1, "rssm.deter": 8, "rssm.stoch": 4, "rssm.classes": 4,
    "imag_horizon": 3, "harmony": True, "reward_head.outscale": 1.0, "critic.outscale": 1.0,
}  # fmt: skip
OBS = {
    "image": Space(np.uint8, (16, 16, 3)), "vector": Space(np.float32, (5,)),
    "reward": Space(np.float32), "is_first": Space(bool), "is_last": Space(bool),
    "is_terminal": Space(bool),
}  # fmt: skip


def make_agent(precision: str = "float32", discrete: bool = True, sampling: bool = True) -> Agent:
    config = configs.make((), {**TINY, "jax.precision": precision})
    low = 0.0 if discrete else -1.0
    action = Space(np.float32, (3,), low, 1.0, discrete=discrete)
    return Agent(config, OBS, {"action": action}, sampling)


def make_batch(rows: int = 2, steps: int = 5) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    lead = (rows, steps)
    first = np.zeros(lead, bool)
    first[0, 3] = True
    return {
        "image": rng.integers(0, 256, (*lead, 16, 16, 3), np.uint8),
        "vector": rng.normal(size=(*lead, 5)).astype(np.float32) * 3,
        "reward": rng.normal(size=lead).astype(np.float32),
        "is_first": first, "is_last": np.roll(first, -1, 1), "is_terminal": np.roll(first, -1, 1),
        "action": np.eye(3, dtype=np.float32)[rng.integers(0, 3, lead)],
    }  # fmt: skip


def everything(agent: Agent, batch: Any) -> dict[str, Any]:
    """Losses and gradients of all three parts, and the parameters after an update."""
    key = jax.random.key_data(jax.random.key(1))
    state = agent.init(key)
    c = agent.config.agent.rssm
    noise = jax.random.gumbel(
        key, (*batch["is_first"].shape, c.stoch, c.classes), agent.param_dtype
    )
    noise = noise if agent.sampling else 0.0 * noise
    model = {k: state.params[k] for k in ("world_model", "balance")}
    grad = jax.value_and_grad(agent.model_loss, has_aux=True)
    (total, aux), grads = grad(model, state, batch, noise)
    post = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), aux["post"])
    grad = jax.value_and_grad(agent.actor_loss, has_aux=True)
    (actor, im), actor_grads = grad(
        state.params["actor"], state, post, batch["is_terminal"].reshape(-1), key
    )
    traj = im["traj"]
    critic, critic_grads = jax.value_and_grad(agent.behavior.critic_loss)(
        state.params["critic"], state.slow_critic, traj, im["returns"]
    )
    after, _, metrics = agent.train_step(state, batch)
    return {
        "losses": aux["losses"], "total": total, "actor": actor, "critic": critic,
        "grads": (grads, actor_grads, critic_grads), "traj": traj,
        "after": (after.params, after.slow_critic, after.return_scale, after.opt),
        "norms": {k: v for k, v in metrics.items() if k.startswith("grad_norm/")},
    }  # fmt: skip


def run(agent: Agent, batch: Any) -> dict[str, Any]:
    return jax.jit(functools.partial(everything, agent))(batch)


def compare(actual: Any, expected: Any, tolerance: float) -> None:
    """Each array within `tolerance` of its largest expected magnitude."""
    pairs = zip(jax.tree_util.tree_leaves_with_path(actual), jax.tree.leaves(expected), strict=True)
    for (path, a), b in pairs:
        assert a.dtype == b.dtype and a.shape == b.shape
        worst, size = float(jnp.abs(a - b).max(initial=0)), float(jnp.abs(b).max(initial=0))
        assert worst <= tolerance * size + 1e-3 * tolerance, (jax.tree_util.keystr(path), worst)


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [pytest.param("float32", 1e-4, marks=pytest.mark.slow), ("float64", 1e-9)],
)
def test_update_equals_the_plain_one(discrete: bool, precision: str, tolerance: float) -> None:
    with jax.enable_x64(precision == "float64"):
        agent, batch = make_agent(precision, discrete), make_batch()
        # Or symlog of the observations would round to float32 in one of them.
        batch = {k: v.astype(precision) if v.dtype == np.float32 else v for k, v in batch.items()}
        actual, expected = run(agent, batch), plain(run)(agent, batch)
        # Adam divides by the gradient's size at the first step, and rounding with it.
        loose = {"after": (actual.pop("after"), expected.pop("after"))}
        compare(actual, expected, tolerance)
        compare(*loose["after"], 100 * tolerance)


@pytest.mark.slow
def test_learners_side_by_side_equal_each_alone() -> None:
    agent = make_agent()
    keys = jnp.stack([jax.random.key_data(jax.random.key(seed)) for seed in (0, 1, 2)])
    states = jax.vmap(agent.init)(keys)
    batches = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 3), make_batch())
    step = jax.jit(jax.vmap(agent.train_step))
    together = step(states, batches)[0].params
    alone = jax.jit(agent.train_step)
    for n in range(3):
        one = alone(*jax.tree.map(lambda x, n=n: x[n], (states, batches)))[0].params
        compare(jax.tree.map(lambda x, n=n: x[n], together), one, 1e-3)
    assert "feature_group_count" not in step.lower(states, batches).as_text().replace(
        "feature_group_count = 1 ", ""
    )


def test_bfloat16_keeps_gradients_and_losses_in_float32() -> None:
    batch = make_batch()
    # Draws would turn rounding into other latents.
    agents = [make_agent(precision, sampling=False) for precision in ("float32", "bfloat16")]
    exact, half = (run(agent, batch) for agent in agents)
    for name in ("losses", "total", "actor", "critic", "grads", "norms", "after"):
        dtypes = {leaf.dtype for leaf in jax.tree.leaves(half[name]) if leaf.dtype != np.int32}
        assert dtypes == {np.dtype(np.float32)}, (name, dtypes)
    for name, loss in exact["losses"].items():
        np.testing.assert_allclose(half["losses"][name].mean(), loss.mean(), rtol=0.03)
    # It did compute in another precision.
    assert float(half["total"]) != float(exact["total"])
