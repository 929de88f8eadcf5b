"""Checkpoints of the released code: read without executing, and turned into train states."""

import codecs
import collections
import contextlib
import os
import pickle
import re
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied.core.errors import UserError
from harmony_dreamerv3.interop import checkpoint, names, unpickle


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


def dump(path, value, protocol=5, modern=True):
    data = pickle.dumps(value, protocol)
    if not modern and protocol < 4:
        data = data.replace(b"numpy._core", b"numpy.core")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("modern", [True, False])
def test_arrays_of_all_protocols_and_versions(tmp_path, protocol, modern):
    value = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "flag": np.array(True),
        "empty": np.zeros((0, 3), np.float16),
        "scalar": np.float32(2.5),
        "plain": [1, 2.5, "x", None, (True, b"12"), {1, 2}, collections.OrderedDict(k=3)],
    }
    found = unpickle.load(dump(tmp_path / "c.pkl", value, protocol, modern))
    for key in ("a", "f", "big", "flag", "empty", "scalar"):
        np.testing.assert_array_equal(found[key], value[key])
        assert found[key].dtype == np.asarray(value[key]).dtype.newbyteorder("=")
    assert found["plain"] == [1, 2.5, "x", None, (True, b"12"), {1, 2}, {"k": 3}]


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


class Evil:
    """Runs a command when it is unpickled by anything that trusts it."""

    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


class Fake(NamedTuple):
    count: int


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Evil(os.system, "touch {}"), "posix.system"),
        (Evil(eval, "open({!r}, 'w')"), r"builtins?(__)?\.eval"),
        (Evil(np.fromfile, "x"), "numpy"),
        (Fake(3), "Fake"),
        (np.random.default_rng(0), "numpy.random"),
        (re.compile("x"), "re._compile"),
        (np.array([object()], object), "dtype 'O8'|builtins.object"),
        (np.array(["text"]), "dtype 'U4'"),
        (collections.defaultdict(list), "collections.defaultdict"),
        (optax.adam, "optax.*adam"),
    ],
)
def test_everything_else_is_refused_by_name(tmp_path, value, name):
    touched = tmp_path / "touched"
    if isinstance(value, Evil):
        value.args = tuple(arg.format(str(touched)) for arg in value.args)
    for protocol in (2, 4, 5):
        with pytest.raises(UserError, match=name):
            unpickle.load(dump(tmp_path / "c", {"agent": value}, protocol))
    assert not touched.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04]\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # Bytes of 2^63.
        b"\x80\x04}r\xff\xff\xff\x7f.",  # An object numbered 2^31.
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x00N.",  # A frame beyond the file.
        b"\x80\x02I" + b"9" * 10000 + b"\n.",  # A number as text.
        b"\x80\x02cnumpy\ndtype\n}X\x01\x00\x00\x00aK\x01sb.",  # Sets what it refers to.
        b"\x80\x02coptax\nEmptyState\n}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02coptax\nEmptyState\n)\x81}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R.",  # An array without contents.
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)RK\x05b.",
        b"\x80\x02P1\n.",  # A persistent name.
        b"\x80\x02cnum\\py\ndtype\n.",  # A name with an invalid escape.
    ],
)
def test_hostile_bytes(tmp_path, data):
    path = tmp_path / "c"
    path.write_bytes(data)
    with pytest.raises(UserError):
        unpickle.load(path)


def test_a_shape_must_be_filled_by_the_bytes(tmp_path):
    array = np.arange(6, dtype=np.float32)
    data = pickle.dumps(array, 2)
    assert data.count(b"K\x06") == 1
    path = tmp_path / "c"
    path.write_bytes(data.replace(b"K\x06", b"K\x07"))
    with pytest.raises(UserError, match=r"claims the shape .7,. of float32, but has 24 bytes"):
        unpickle.load(path)


@pytest.mark.parametrize("protocol", [2, 5])
def test_large_arrays_are_within_the_bound(tmp_path, protocol):
    values = np.random.default_rng(0).integers(0, 256, 3_000_000, np.uint8)
    value = {"a": values, "same": values, "b": values[::-1].astype(">u4")}
    found = unpickle.load(dump(tmp_path / "c", value, protocol))
    assert all(np.array_equal(found[key], value[key]) for key in value)


DATA, TEXT, ITEMS = bytes(2**18), "\xff" * 2**18, list(range(2**16))
BYTE = np.dtype("u1")


@pytest.mark.parametrize(
    "calls",
    [
        [Evil(np._core.numeric._frombuffer, DATA, BYTE, (2**18,), "C") for _ in range(64)],
        [Evil(codecs.encode, TEXT, "latin1") for _ in range(64)],
        [Evil(set, ITEMS) for _ in range(100)],
    ],
    ids=["arrays", "texts", "sets"],
)
def test_one_object_given_to_many_calls(tmp_path, calls):
    with pytest.raises(UserError, match="more than the file holds"):
        unpickle.load(dump(tmp_path / "c", calls))


def test_one_object_given_to_many_places_and_states(tmp_path):
    path = tmp_path / "c"
    begin = b"\x80\x02]coptax\nMineState\nq\x010(" + b"N" * 2**16 + b"tq\x020"
    path.write_bytes(begin + b"h\x01h\x02\x81a" * 100 + b".")
    with pytest.raises(UserError, match="more than the file holds"):
        unpickle.load(path)
    # Protocol 2 fills an array by BUILD: here the same tuple goes into many.
    names = b"cnumpy._core.multiarray\n_reconstruct\nq\x010"
    names += b"cnumpy\ndtype\nX\x02\x00\x00\x00u1\x85Rq\x020"
    size = (2**18).to_bytes(4, "little")
    state = b"(K\x01J" + size + b"\x85h\x02\x89B" + size + bytes(2**18) + b"tq\x030"
    path.write_bytes(b"\x80\x03]" + names + state + b"h\x01)Rh\x03ba" * 64 + b".")
    with pytest.raises(UserError, match="more than the file holds"):
        unpickle.load(path)
    path.write_bytes(b"\x80\x03]" + names + state + b"h\x01)Rh\x03ba" * 2 + b".")
    assert [array.size for array in unpickle.load(path)] == [2**18] * 2


def test_cycles_end(tmp_path):
    loop: list = [1]
    loop.append(loop)
    assert unpickle.load(dump(tmp_path / "c", {"loop": loop}))["loop"][0] == 1
    deep: list = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(UserError, match="nested"):
        unpickle.load(dump(tmp_path / "c", deep))


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
