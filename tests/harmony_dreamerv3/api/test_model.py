"""A loaded agent: shapes, seeds, agreement with the agent itself, mistakes."""

import jax
import numpy as np
import pytest

import harmony_dreamerv3
from embodied.core.errors import UserError

ROWS, STEPS = 2, 6


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    action = np.eye(2, dtype=np.float32)[rng.integers(2, size=(ROWS, STEPS))]
    return {"vector": rng.normal(size=(ROWS, STEPS, 4)).astype(np.float32), "action": action}


def same(a, b):
    return all(np.array_equal(a[key], b[key]) for key in a)


def test_acting(model, batch):
    obs = {"vector": batch["vector"][:, 0]}
    action, carry = model.act(obs, seed=1)
    assert action.shape == (ROWS, 2) and action.dtype == np.float32
    assert (action.sum(-1) == 1).all()
    again, _ = model.act(obs, seed=1)
    assert np.array_equal(action, again)
    draws = np.array([model.act(obs, seed=seed)[0] for seed in range(20)])
    assert draws.std(0).max() > 0
    # A carry remembers, unless an episode begins.
    begun = {**obs, "is_first": np.ones(ROWS, bool)}
    assert same(model.act(begun, carry, seed=3)[1], model.act(obs, seed=3)[1])
    assert not same(model.act(obs, carry, seed=3)[1], model.act(obs, seed=3)[1])


def test_observing_and_imagining(model, batch):
    latents = model.observe(batch)
    size = model.config.agent.rssm
    assert latents["deter"].shape == (ROWS, STEPS, size.deter)
    assert latents["stoch"].shape == (ROWS, STEPS, size.stoch, size.classes)
    assert same(latents, model.observe(batch)) and not same(latents, model.observe(batch, seed=1))
    start = {key: value[:, 2] for key, value in latents.items()}
    future, actions = model.imagine(start, steps=4)
    assert actions.shape == (ROWS, 4, 2) and future["deter"].shape == (ROWS, 4, size.deter)
    # The same actions and draws by hand would lead there, too: deter follows from both.
    given = model.imagine(start, actions[:, :1])[0]
    np.testing.assert_allclose(given["deter"][:, 0], future["deter"][:, 0], rtol=1e-5, atol=1e-6)


def test_one_imagined_step_is_the_step_that_observing_takes(model, batch):
    """deter does not depend on the next observation, so both must agree on it."""
    latents = model.observe(batch)
    start = {key: value[:, 2] for key, value in latents.items()}
    future, _ = model.imagine(start, batch["action"][:, 2:3])
    np.testing.assert_allclose(future["deter"][:, 0], latents["deter"][:, 3], rtol=1e-5, atol=1e-6)


def test_heads(model, batch):
    latents = model.observe(batch)
    decoded = model.decode(latents)
    assert set(decoded) == {"vector"} and decoded["vector"].shape == (ROWS, STEPS, 4)
    for head in (model.reward, model.cont, model.value):
        values = np.asarray(head(latents))
        assert values.shape == (ROWS, STEPS) and np.isfinite(values).all()
    cont = np.asarray(model.cont(latents))
    assert (cont >= 0).all() and (cont <= 1).all()
    # The world model's own predictions of the same windows.
    agent, params = model.agent, model.params["world_model"]
    full = {**batch, "is_first": np.zeros((ROWS, STEPS), bool), "reward": np.zeros((ROWS, STEPS))}
    full["is_first"][:, 0] = True
    full["is_terminal"] = np.zeros((ROWS, STEPS), bool)
    size = model.config.agent.rssm
    noise = jax.random.gumbel(
        jax.random.key_data(jax.random.key(0)), (ROWS, STEPS, size.stoch, size.classes)
    )
    _, aux = jax.jit(agent.wm.losses)(params, full, noise)
    np.testing.assert_allclose(model.reward(latents), aux["reward"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cont, aux["cont"], rtol=1e-4, atol=1e-5)


def test_spaces_parameters_and_step(model):
    assert model.obs_space["vector"].shape == (4,) and model.act_space.discrete
    assert set(model.params) == {"world_model", "balance", "actor", "critic"}
    assert model.step == 60


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, b: m.act({"vektor": b["vector"][:, 0]}), "'vector' is missing; did you mean"),
        (lambda m, b: m.act({"vector": b["vector"][0, 0]}), r"expected the shape \[N, 4\], got"),
        (lambda m, b: m.observe({"vector": b["vector"]}), "the key 'action' is missing"),
        (lambda m, b: m.observe({**b, "action": b["action"][..., :1]}), r"shape \[B, T, 2\]"),
        (lambda m, b: m.imagine({}), "either actions or steps"),
        (lambda m, b: m.imagine({}, b["action"], 3), "either actions or steps"),
        (lambda m, b: m.imagine({}, steps=0), "steps of at least 1, got 0"),
        (lambda m, b: m.imagine({}, b["action"][0]), r"actions \[N, H, 2\], got \(6, 2\)"),
    ],
)
def test_mistakes(model, batch, call, message):
    with pytest.raises(UserError, match=message):
        call(model, batch)


def test_folders_without_a_run_are_named(tmp_path, trained):
    with pytest.raises(UserError, match="is no run folder"):
        harmony_dreamerv3.load(tmp_path)
    (tmp_path / "config.yaml").write_text((trained[0] / "config.yaml").read_text())
    with pytest.raises(UserError, match="there is no checkpoint in"):
        harmony_dreamerv3.load(tmp_path)
