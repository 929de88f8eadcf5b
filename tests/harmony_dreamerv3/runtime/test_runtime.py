"""Runtime: what training, saving and the device's replay must leave equal."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from embodied.core.errors import UserError
from harmony_dreamerv3.agents import openloop
from harmony_dreamerv3.runtime import device_replay
from harmony_dreamerv3.runtime.runtime import Runtime


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    agent = tiny.make_agent(tiny.spaces(image=8, vectors={"speed": 2}), harmony="True")
    return Runtime(agent.config, agent.obs_space, agent.act_space, [3])


def flat(runtime: Runtime) -> dict[str, np.ndarray]:
    return runtime.save()[0]


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def test_a_state_that_was_saved_continues_the_same(runtime: Runtime) -> None:
    batch = tiny.make_batch(runtime.agent)
    runtime.train([batch])
    saved = runtime.save()
    runtime.train([batch])
    after = flat(runtime)
    assert not same(saved[0], after)
    runtime.load(saved)
    assert same(flat(runtime), saved[0])
    runtime.train([batch])
    assert same(flat(runtime), after)
    names, values = runtime.drain()
    assert values.shape == (1, 1, len(names))
    assert np.isfinite(values).all()


def test_an_update_is_traced_once_and_names_its_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = tiny.make_agent(jax__device_replay="True")
    traces = []
    step = type(agent).train_step
    monkeypatch.setattr(type(agent), "train_step", lambda *args: traces.append(args) or step(*args))
    member = Runtime(agent.config, agent.obs_space, agent.act_space, [0])
    assert member.drain()[0] == []
    batch = tiny.make_batch(agent)
    member.train([batch])
    member.train([batch])
    names, values = member.drain()
    assert names == sorted(names) and "loss/reward" in names and values.shape[0] == 2
    assert len(traces) == 1
    (store,) = member.make_stores({**agent.obs_space, **agent.act_space}, 8)
    assert store is not None
    store.write(np.arange(8), {k: v.reshape(8, *v.shape[2:]) for k, v in batch.items()})
    first = np.zeros((2, 4), bool)
    member.train([store.gather(np.arange(8).reshape(2, 4), first)])
    assert member.drain()[0] == names and len(traces) <= 2


def test_a_state_of_another_agent_is_refused(runtime: Runtime) -> None:
    saved = flat(runtime)
    key = "params/actor/out/bias"
    with pytest.raises(UserError, match=r"missing 'params/actor/out/bias'"):
        runtime.load([{k: v for k, v in saved.items() if k != key}])
    with pytest.raises(UserError, match="surplus 'extra'"):
        runtime.load([{**saved, "extra": np.zeros(1)}])
    with pytest.raises(UserError, match=r"has shape \(7,\), expected \(3,\)"):
        runtime.load([{**saved, key: np.zeros(7, np.float32)}])
    assert same(flat(runtime), saved)


def test_acting_is_a_function_of_seed_mode_and_counter(runtime: Runtime) -> None:
    batch = tiny.make_batch(runtime.agent, size=6)
    obs = {k: v[None, :, 0] for k, v in batch.items() if k != "action"}
    carry = runtime.initial_carry(6)
    _, first = runtime.act(carry, obs, (5,), "train")
    _, again = runtime.act(carry, obs, (5,), "train")
    draws = [runtime.act(carry, obs, (t,), "train")[1] for t in range(20)]
    assert np.array_equal(first, again)
    assert any(not np.array_equal(first, other) for other in draws)
    assert set(np.unique(first)) <= {0.0, 1.0}
    assert (first.sum(-1) == 1).all()


def test_an_update_takes_the_place_of_the_state_before(runtime: Runtime) -> None:
    before = runtime.state
    runtime.train([tiny.make_batch(runtime.agent)])
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(runtime.state))


def test_an_agent_step_reads_the_device_once(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = tiny.make_batch(runtime.agent, size=2)
    obs = {k: v[None, :, 0] for k, v in batch.items() if k != "action"}
    carry, policy = runtime.initial_carry(2), runtime.snapshot()
    runtime.train([tiny.make_batch(runtime.agent)])
    reads = []
    read = jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda tree: reads.append(tree) or read(tree))
    runtime.act(carry, obs, (1,), "eval", policy)  # Of a background evaluation.
    assert isinstance(runtime._alive, jax.Array)
    runtime.act(carry, obs, (1,), "train")
    assert isinstance(runtime._alive, np.ndarray) and runtime._alive.all()
    assert runtime.failed() == [None]
    assert len(reads) == 1


def test_a_snapshot_stays_while_training_goes_on(runtime: Runtime) -> None:
    batch = tiny.make_batch(runtime.agent, size=6)
    obs = {k: v[None, :, 0] for k, v in batch.items() if k != "action"}
    policy = runtime.snapshot()
    kept = runtime.save(policy)
    carry, before = runtime.act(runtime.initial_carry(6), obs, (1,), "eval", policy)
    for _ in range(3):
        runtime.train([batch])
    assert same(runtime.save(policy)[0], kept[0])
    _, after = runtime.act(runtime.initial_carry(6), obs, (1,), "eval", policy)
    assert np.array_equal(before, after)
    loaded = runtime.load(runtime.save(carry), runtime.initial_carry(6))
    assert same(runtime.save(loaded)[0], runtime.save(carry)[0])


def test_a_carry_that_claims_many_rows_takes_no_memory(runtime: Runtime) -> None:
    claim = {key: np.zeros((2**40, 0), np.float32) for key in ("deter", "stoch", "action")}
    with pytest.raises(UserError, match="shape"):
        runtime.load([claim], runtime.initial_carry(6))


def test_a_loss_that_is_not_finite_freezes_and_is_named(runtime: Runtime) -> None:
    saved = runtime.save()
    batch = tiny.make_batch(runtime.agent)
    broken = {**batch, "reward": np.full_like(batch["reward"], np.nan)}
    assert runtime.failed() == [None]
    runtime.train([broken])
    assert runtime.failed() == ["loss/reward"]
    state = flat(runtime)
    assert not state["alive"]
    assert same({**state, "alive": saved[0]["alive"]}, saved[0])
    runtime.train([batch])
    assert same(flat(runtime), state)
    runtime.load(saved)
    assert runtime.failed() == [None]


def test_replay_on_the_device_gives_the_same_update(runtime: Runtime) -> None:
    batch = tiny.make_batch(runtime.agent, size=3, length=4)
    spaces = {**runtime.agent.obs_space, **runtime.agent.act_space}
    store = device_replay.DeviceStore(spaces, 20)
    rows = {k: v.reshape(12, *v.shape[2:]) for k, v in batch.items()}
    store.write(np.arange(5, 17), rows)
    index = np.arange(5, 17).reshape(3, 4)
    assert same(store.read(index.reshape(-1)), rows)
    saved = runtime.save()
    runtime.train([batch])
    expected = flat(runtime)
    runtime.load(saved)
    first = np.zeros((3, 4), bool)
    first[:, 0] = True
    runtime.train([store.gather(index, first)])
    actual = flat(runtime)
    for key, value in expected.items():
        np.testing.assert_allclose(actual[key], value, rtol=1e-5, atol=1e-6, err_msg=key)


def test_reports_are_pictures_and_finite_numbers(runtime: Runtime) -> None:
    batch = tiny.make_batch(runtime.agent, size=7, length=8)
    (report,) = runtime.report([batch], (9,))
    video = report["openloop/image/video"]
    assert video.shape == (8, 3 * 8, openloop.STRIP + openloop.ROWS * 8, 3)
    assert video.dtype == np.uint8
    truth = batch["image"][0, 0, 3:5, 3:5]
    shown = video[0, 3:5, openloop.STRIP :][:, 3:5]
    np.testing.assert_allclose(shown.astype(int), truth.astype(int), atol=1)
    assert all(np.isfinite(v).all() for k, v in report.items() if "video" not in k)


def test_open_loop_predictions_do_not_see_what_comes(runtime: Runtime) -> None:
    agent = runtime.agent
    model = jax.tree.map(lambda x: x[0], runtime.state.params["world_model"])
    batch = {k: jnp.asarray(v) for k, v in tiny.make_batch(agent, size=2, length=8).items()}
    changed = {**batch, "image": batch["image"].at[:, 5:].set(255 - batch["image"][:, 5:])}
    look = jax.jit(functools.partial(openloop.open_loop, agent), static_argnums=3)
    key = jnp.zeros(2, jnp.uint32)
    _, seen = look(model, batch, key, 5)
    _, other = look(model, changed, key, 5)
    np.testing.assert_array_equal(seen, other)
    # Observing all of it, the model does see the difference.
    _, seen = look(model, batch, key, 8)
    _, other = look(model, changed, key, 8)
    assert not np.array_equal(seen, other)


def test_meshes_that_do_not_fit_are_refused() -> None:
    agent = tiny.make_agent(jax__population_devices="64")
    with pytest.raises(UserError, match="64 devices asked for"):
        Runtime(agent.config, agent.obs_space, agent.act_space, [0])


def test_unknown_place_of_replay_is_refused(runtime: Runtime) -> None:
    agent = tiny.make_agent(jax__device_replay="gpu")
    other = Runtime(agent.config, agent.obs_space, agent.act_space, [0])
    with pytest.raises(UserError, match="device_replay"):
        other.make_stores(agent.obs_space, 10)
    assert runtime.make_stores(agent.obs_space, 10) == [None]  # auto, on a CPU


def test_the_replays_of_all_members_lie_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = tiny.make_agent()
    members = Runtime(agent.config, agent.obs_space, agent.act_space, [0, 1, 2])
    need = device_replay.size_of(agent.obs_space, 10) * 3
    free = [2 * need]  # Enough for all at first, too little once some are there.

    class Device:
        platform = "gpu"

        def memory_stats(self) -> dict[str, int]:
            free[0] -= need // 3
            return {"bytes_limit": free[0] + need // 3, "bytes_in_use": 0}

    monkeypatch.setattr(members, "mesh", SimpleNamespace(size=1, devices=np.array([Device()])))
    monkeypatch.setattr(device_replay, "DeviceStore", lambda *args: "on the device")
    assert members.make_stores(agent.obs_space, 10) == ["on the device"] * 3
    assert members.make_stores(agent.obs_space, 10) == [None] * 3


def test_a_learner_that_had_failed_says_so_when_loaded(runtime: Runtime) -> None:
    saved = runtime.save()
    assert runtime.failed() == [None] * runtime.size
    runtime.load([{**arrays, "alive": np.zeros_like(arrays["alive"])} for arrays in saved])
    assert all(runtime.failed())
    runtime.load(saved)
    assert not any(runtime.failed())
