"""Several seeds as one program: each trains as if alone, and the fault of one is its own."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import numpy as np
import pytest

import embodied.envs
from harmony_dreamerv3 import config
from harmony_dreamerv3.runtime import devices
from harmony_dreamerv3.runtime.runtime import Runtime

Arrays = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def cache() -> None:
    devices.use_cache()


def make(task: str, method: str, seeds: list[int], precision: str = "float32") -> Runtime:
    flags = {"jax.precision": precision, "batch_size": 2, "batch_length": 4, "task": task}
    env = embodied.envs.make(task, 0, {"size": 16})
    return Runtime(config.make(["debug", method], flags), env.obs_space, env.act_space, seeds)


def draw(runtime: Runtime, seed: int, update: int) -> Arrays:
    """A batch that depends on the seed and the update alone."""
    rng = np.random.default_rng([seed, update])
    spaces = {**runtime.agent.obs_space, **runtime.agent.act_space}
    batch = {key: np.array([[space.sample(rng) for _ in range(4)] for _ in range(2)])
             for key, space in spaces.items()}  # fmt: skip
    batch["is_first"][:] = False
    batch["is_first"][:, 0] = True
    batch["reward"] = rng.normal(size=(2, 4)).astype(np.float32)
    return batch


def train(runtime: Runtime, updates: int) -> np.ndarray:
    for update in range(updates):
        runtime.train([draw(runtime, seed, update) for seed in runtime.seeds])
    return runtime.drain()[1]


@pytest.fixture(scope="module")
def together() -> Iterator[tuple[Runtime, list[Arrays]]]:
    """Two seeds in float64, with their first states: compiled once for all tests."""
    with jax.enable_x64(True):
        devices.use_cache()
        runtime = make("dummy_disc", "harmony", [3, 8], "float64")
        yield runtime, runtime.save()


def check_alone(together: Runtime, task: str, method: str) -> None:
    """Compares the second member after 20 updates with the same seed by itself."""
    values = train(together, 20)
    saved, obs = together.save(), draw(together, 0, 0)
    assert saved[1]["params/actor/out/kernel"].dtype == np.float64
    rows = {key: np.stack([value[:, 0]] * 2) for key, value in obs.items()}
    _, actions = together.act(together.initial_carry(2), rows, (5,), "train")
    alone = make(task, method, [8], "float64")
    np.testing.assert_allclose(train(alone, 20)[:, 0], values[:, 1], rtol=1e-7, atol=1e-9)
    found = alone.save()[0]
    assert found["updates"] == 20 and set(found) == set(saved[1])
    for name, array in found.items():
        np.testing.assert_allclose(saved[1][name], array, rtol=0, atol=1e-9, err_msg=name)
    row = {key: value[:1] for key, value in rows.items()}
    _, action = alone.act(alone.initial_carry(2), row, (5,), "train")
    np.testing.assert_allclose(action[0], actions[1], atol=1e-6)
    kernels = [member["params/actor/out/kernel"] for member in saved]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-3  # The two seeds are not one.


def test_each_seed_trains_as_if_alone(together: tuple[Runtime, list[Arrays]]) -> None:
    check_alone(together[0], "dummy_disc", "harmony")


@pytest.mark.slow
def test_with_gradients_through_the_model_too() -> None:
    with jax.enable_x64(True):
        runtime = make("dummy_cont", "dreamerv3", [3, 8], "float64")
        check_alone(runtime, "dummy_cont", "dreamerv3")


def test_a_loss_that_is_not_finite_freezes_its_seed_alone(
    together: tuple[Runtime, list[Arrays]],
) -> None:
    runtime, start = together
    runtime.load(start)
    train(runtime, 6)
    before = runtime.save()
    runtime.load(start)
    for update in range(6):
        batches = [draw(runtime, seed, update) for seed in runtime.seeds]
        if update == 3:
            good = runtime.save()[1]
            batches[1]["reward"][0, 0] = np.nan
        runtime.train(batches)
        assert runtime.failed() == [None, "loss/reward" if update >= 3 else None]
    after = runtime.save()
    for name, array in before[0].items():
        np.testing.assert_array_equal(array, after[0][name], err_msg=name)
    for name, array in good.items():  # As it was after the last good update, but for the mark.
        expected = False if name == "alive" else array
        np.testing.assert_array_equal(after[1][name], expected, err_msg=name)


def test_a_single_learner_takes_the_state_of_a_member(
    together: tuple[Runtime, list[Arrays]],
) -> None:
    alone = make("dummy_disc", "harmony", [7], "float64")
    alone.load(together[1][1:])
    for name, array in alone.save()[0].items():
        np.testing.assert_array_equal(array, together[1][1][name], err_msg=name)
