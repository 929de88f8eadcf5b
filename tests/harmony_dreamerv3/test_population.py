"""Several seeds as one program: each trains as if alone, and the fault of one is its own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import embodied.envs
from embodied.core.checkpoint import Checkpoints
from embodied.core.env import Env
from harmony_dreamerv3 import config, devices, training
from harmony_dreamerv3 import main as command
from harmony_dreamerv3.runtime import Runtime

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


@contextlib.contextmanager
def doubles() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    ("task", "method"),
    [
        ("dummy_disc", "harmony"),
        pytest.param("dummy_cont", "dreamerv3", marks=pytest.mark.slow),
    ],
)
def test_each_seed_trains_as_if_alone(task: str, method: str) -> None:
    with doubles():
        together = make(task, method, [3, 8], "float64")
        values = train(together, 20)
        saved, obs = together.save(), draw(together, 0, 0)
        assert saved[0]["params/actor/out/kernel"].dtype == np.float64
        rows = {key: np.stack([value[:, 0]] * 2) for key, value in obs.items()}
        _, actions = together.act(together.initial_carry(2), rows, (5,), "train")
        for n, seed in enumerate((3, 8)):
            alone = make(task, method, [seed], "float64")
            np.testing.assert_allclose(train(alone, 20)[:, 0], values[:, n], rtol=1e-7, atol=1e-9)
            found = alone.save()[0]
            assert found["updates"] == 20 and set(found) == set(saved[n])
            for name, array in found.items():
                np.testing.assert_allclose(saved[n][name], array, rtol=0, atol=1e-9, err_msg=name)
            row = {key: value[:1] for key, value in rows.items()}
            _, action = alone.act(alone.initial_carry(2), row, (5,), "train")
            np.testing.assert_allclose(action[0], actions[n], atol=1e-6)
    kernels = [member["params/actor/out/kernel"] for member in saved]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-3  # The two seeds are not one.


def test_a_loss_that_is_not_finite_freezes_its_seed_alone() -> None:
    hurt = make("dummy_disc", "harmony", [0, 1, 2])
    start = hurt.save()
    train(hurt, 6)
    before = hurt.save()
    hurt.load(start)
    for update in range(6):
        batches = [draw(hurt, seed, update) for seed in (0, 1, 2)]
        if update == 3:
            good = hurt.save()[1]
            batches[1]["reward"][0, 0] = np.nan
        hurt.train(batches)
        assert hurt.failed() == [None, "loss/reward" if update >= 3 else None, None]
    after = hurt.save()
    for n in (0, 2):
        for name, array in before[n].items():
            np.testing.assert_array_equal(array, after[n][name], err_msg=name)
    for name, array in good.items():  # As it was after the last good update, but for the mark.
        expected = False if name == "alive" else array
        np.testing.assert_array_equal(after[1][name], expected, err_msg=name)


def test_states_are_exchangeable_between_populations_and_single_learners() -> None:
    together, alone = make("dummy_disc", "harmony", [0, 1]), make("dummy_disc", "harmony", [7])
    alone.load(together.save()[1:])
    for name, array in alone.save()[0].items():
        np.testing.assert_array_equal(array, together.save()[1][name], err_msg=name)


# From end to end, on the block `debug`

LINE = ["train", "--configs", "debug", "--env.dummy.size", "16", "--run.train_fill", "20",
        "--run.eval_every", "60", "--run.save_every", "30", "--run.report_every", "0",
        "--run.log_every", "20", "--run.video_length", "0"]  # fmt: skip


class Crash:
    """An environment that raises at one of its steps."""

    def __init__(self, env: Env, step: int) -> None:
        self._env, self._left = env, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def step(self, action: np.ndarray) -> Arrays:
        self._left -= 1
        if self._left == 0:
            raise RuntimeError("the simulator broke")
        return self._env.step(action)


def run(logdir: Path, *flags: object, steps: int = 120) -> int:
    words = [*LINE, "--logdir", logdir, "--run.steps", steps, *flags]
    return command.main([str(word) for word in words])


@pytest.mark.slow
def test_a_population_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = ["--seeds", 0, 1, 2]
    whole, hurt = tmp_path / "whole", tmp_path / "hurt"
    assert run(whole, *seeds) == 0
    folders = [whole / f"seed-{n}" for n in range(3)]
    episodes = [(folder / "episodes.jsonl").read_text() for folder in folders]
    assert len(set(episodes)) == 3
    assert all(json.loads(line)["seed"] == 1 for line in episodes[1].splitlines())
    # One manifest commits all checkpoints.
    commits = sorted(path.stem for path in (whole / "checkpoints").glob("*.json"))
    assert int(commits[-1][:12]) == 120
    body = json.loads(
        json.loads((whole / "checkpoints" / f"{commits[-1]}.json").read_text())["body"]
    )
    assert sorted(body["members"]) == ["seed-0", "seed-1", "seed-2"]

    # An environment of seed 1 breaks in training: the others do what they would have done.
    make_env = training.open_env

    def crashing(made: config.Config, member: int, index: int, seed: int) -> Env:
        env = make_env(made, member, index, seed)
        return Crash(env, 50) if member == 1 and seed in training_seeds else env  # type: ignore[return-value]

    from embodied.core.rng import derive_seed

    training_seeds = {derive_seed(n, 0, 0, 0) for n in range(3)}
    monkeypatch.setattr(training, "open_env", crashing)
    capsys.readouterr()
    assert run(hurt, *seeds) == 1
    said = capsys.readouterr().out
    assert "the simulator broke" in said and "seed 1 is frozen, the others go on" in said
    for n in (0, 2):
        assert (hurt / f"seed-{n}" / "episodes.jsonl").read_text() == episodes[n]
        _same(hurt / f"seed-{n}", folders[n])
    monkeypatch.setattr(training, "open_env", make_env)

    # Both continue, the frozen seed stays as it was.
    frozen = Checkpoints(hurt, [hurt / f"seed-{n}" for n in range(3)]).load()
    assert frozen and "the simulator broke" in frozen[1].state["frozen"]
    assert run(hurt, *seeds, steps=150) == 1 and run(whole, *seeds, steps=150) == 0
    for n in (0, 2):
        _same(hurt / f"seed-{n}", folders[n])
    again = Checkpoints(hurt, [hurt / f"seed-{n}" for n in range(3)]).load()
    assert again and [part.state["step"] for part in again] == [150, frozen[1].state["step"], 150]

    # The folder of a seed stands for itself: it can be evaluated, and continued alone.
    assert command.main(["eval", str(folders[1])]) == 0
    assert run(folders[2], "--seed", 2, steps=180) == 0
    saved = Checkpoints(folders[2], [folders[2]]).load()
    assert saved and saved[0].state["step"] == 180


def _same(one: Path, two: Path) -> None:
    """Compares the newest parameters of two run folders, bit by bit."""
    found = [Checkpoints(folder, [folder]).load() for folder in (one, two)]
    assert found[0] and found[1]
    first, second = (part[0].files["learner.safetensors"].read_bytes() for part in found if part)
    assert first == second
