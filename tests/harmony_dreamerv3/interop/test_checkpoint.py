"""Checkpoints of the released code: read without executing, and turned into train states."""

import contextlib
import pickle
from typing import Any

import jax
import numpy as np
import optax
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from pickles import dump

from embodied.core.errors import UserError
from harmony_dreamerv3.interop import checkpoint, names


@pytest.fixture(scope="module")
def agent():
    return tiny.make_agent(balance__method="harmony")


@pytest.fixture(scope="module")
def named(agent):
    """Random variables under the released code's names."""
    shapes = jax.eval_shape(agent.init, jax.ShapeDtypeStruct((2,), np.uint32))
    rng = np.random.default_rng(0)
    tree = names.flatten(names.trainable(shapes))
    found = {names.upstream_name(k): rng.normal(size=v.shape) for k, v in tree.items()}
    found |= {f"{names.SCALE}/low/value": np.array(-0.5), f"{names.SCALE}/high/value": np.array(2)}
    found = {name: value.astype(np.float32) for name, value in found.items()}
    found["agent/wm/identity/identity"] = np.float32(1)
    return found | {names.SLOW_UPDATES: np.int32(7)}


def adam(params: dict[str, np.ndarray], prefix: tuple[str, ...]) -> tuple:
    """An optimizer's state whose first moments are -p, second p squared."""
    chosen = {k: v for k, v in params.items() if k.startswith(prefix)}
    mu, nu = ({k: f(v) for k, v in chosen.items()} for f in (np.negative, np.square))
    state = optax.ScaleByAdamState(np.array(7, np.int32), mu, nu)
    return (optax.EmptyState(), state, optax.EmptyState())


def upstream_file(named: dict[str, np.ndarray]) -> dict[str, Any]:
    """A whole checkpoint as the released code pickles it."""
    wm = ("agent/wm/rssm", "agent/wm/enc", "agent/wm/dec", "agent/wm/rew", "agent/wm/cont")
    agent = {
        **named,
        "agent/wm/model_opt/state": adam(named, (*wm, "agent/wm/har")),
        "agent/wm/model_opt/step/value": np.array(7),
        "agent/task_behavior/ac/actor_opt/state": adam(named, ("agent/task_behavior/ac/actor/",)),
        "agent/task_behavior/critic/critic_opt/state": adam(
            named, ("agent/task_behavior/critic/net/",)
        ),
    }
    return {"step": 1234, "agent": agent, "replay": None, "_timestamp": 1.5e9}


def test_state_is_taken_over_with_moments(tmp_path, agent, named):
    path = dump(tmp_path / "checkpoint.ckpt", upstream_file(named))
    saved = checkpoint.read(path)
    assert saved.step == 1234 and set(saved.moments) == {"model", "actor", "critic"}
    state, restarted = checkpoint.convert(agent, saved, seed=3)
    assert restarted == [] and int(state.updates) == 7
    exported = names.export_params(state)
    for name in set(named) - {"agent/wm/identity/identity"}:
        np.testing.assert_array_equal(exported[name], named[name])
    for optimizer in ("model", "actor", "critic"):
        chain = state.opt[optimizer]
        assert int(chain[1].count) == 7
        tree = state.params if optimizer == "model" else {optimizer: state.params[optimizer]}
        if optimizer == "model":
            tree = {k: tree[k] for k in ("world_model", "balance")}
        for moment, of in ((chain[1].mu, np.negative), (chain[1].nu, np.square)):
            found = moment if optimizer == "model" else {optimizer: moment}
            jax.tree.map(lambda m, p, of=of: np.testing.assert_array_equal(m, of(p)), found, tree)
    fresh = jax.eval_shape(agent.init, jax.ShapeDtypeStruct((2,), np.uint32))
    assert jax.tree.structure(fresh) == jax.tree.structure(state)
    jax.tree.map(
        lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype) or pytest.fail(), fresh, state
    )


def test_without_moments_optimizers_restart_and_it_is_said(tmp_path, agent, named):
    content = upstream_file(named)
    del content["agent"]["agent/task_behavior/ac/actor_opt/state"]
    content["agent"]["agent/wm/model_opt/state"] = (optax.EmptyState(),)
    state, restarted = checkpoint.convert(
        agent, checkpoint.read(dump(tmp_path / "c", content)), seed=0
    )
    assert restarted == ["model", "actor"]
    assert int(state.opt["model"][1].count) == 0 and int(state.opt["critic"][1].count) == 7


def test_wrong_moments_and_variables_are_named(tmp_path, agent, named):
    content = upstream_file(named)
    chain = content["agent"]["agent/wm/model_opt/state"]
    name = "agent/wm/rssm/gru/kernel"
    chain[1].mu[name] = chain[1].mu[name][:2]
    with pytest.raises(UserError, match="model optimizer, mu of agent/wm/rssm/gru/kernel"):
        checkpoint.convert(agent, checkpoint.read(dump(tmp_path / "c", content)), 0)
    del chain[1].mu[name]
    with pytest.raises(UserError, match="missing: agent/wm/rssm/gru/kernel"):
        checkpoint.convert(agent, checkpoint.read(dump(tmp_path / "c", content)), 0)
    content["agent"]["agent/wm/rssm/x"] = "text"
    with pytest.raises(UserError, match="agent/wm/rssm/x is a str"):
        checkpoint.read(dump(tmp_path / "c", content))
    for wrong in ([], {"agents": {}}, {"agent": {}}, {"agent": {"a": 1.0}, "step": "x"}):
        with pytest.raises(UserError, match=r"expected a dict|no variables|`step`"):
            checkpoint.read(dump(tmp_path / "c", wrong))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_bytes(tmp_path_factory, data):
    value = {"agent": {"a": np.arange(3.0)}, "s": (optax.EmptyState(), np.float32(1)), "step": 3}
    content = bytearray(pickle.dumps(value, data.draw(st.sampled_from([2, 4]))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "c"
    path.write_bytes(bytes(content))
    with contextlib.suppress(UserError):
        checkpoint.read(path)
