"""Learners spread over devices and over processes compute what one device computes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import decode
from embodied.core.errors import UserError
from harmony_dreamerv3 import config
from harmony_dreamerv3.runtime import devices

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import numpy as np
import embodied.envs
from harmony_dreamerv3 import config
from harmony_dreamerv3.runtime import devices
from harmony_dreamerv3.runtime.runtime import Runtime

def train(seeds, population, data):
    flags = {"jax.precision": "float64", "jax.platform": "cpu", "batch_size": 4, "batch_length": 4,
             "jax.population_devices": population, "jax.data_devices": data}
    made = config.make(["debug", "harmony"], flags)
    devices.setup(made.jax)
    env = embodied.envs.make("dummy_disc", 0, {"size": 16})
    runtime = Runtime(made, env.obs_space, env.act_space, seeds)
    spaces = {**env.obs_space, **env.act_space}
    for update in range(3):
        batches = []
        for seed in seeds:
            rng = np.random.default_rng([seed, update])
            batch = {k: np.array([[s.sample(rng) for _ in range(4)] for _ in range(4)])
                     for k, s in spaces.items()}
            batch["is_first"][:] = [True, False, False, False]
            batches.append(batch)
        runtime.train(batches)
        values = runtime.drain()[1]
    obs = {k: np.stack([v[:2, 0] for v in [b[k] for b in batches]]) for k in spaces}
    carry, actions = runtime.act(runtime.initial_carry(2), obs, (1,), "train")
    kernel = runtime.state.params["actor"]["out"]["kernel"]
    assert len(kernel.sharding.device_set) == population * data, kernel.sharding
    shards = {shard.data.shape for shard in kernel.addressable_shards}
    assert {shape[0] for shape in shards} == {len(seeds) // population}, shards
    if data == 1 and population > 1:  # Members have nothing to say but metrics and `finite`.
        batch = {k: np.stack([b[k] for b in batches]) for k in runtime.agent.batch_keys}
        text = runtime._train.lower(runtime.state, runtime._share(batch)).compile().as_text()
        words = ("all-reduce", "all-gather", "all-to-all", "collective-permute")
        said = [line for line in text.splitlines() if any(f" {word}(" in line for word in words)]
        assert len(said) <= 2 and all(" all-gather(" in line for line in said), said
    return runtime.save(), runtime.save(carry), values, actions

def compare(one, two):
    for a, b in zip([*one[0], *one[1]], [*two[0], *two[1]]):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=0, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(one[2], two[2], rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(one[3], two[3])

together = train([0, 1], 1, 1)
compare(together, train([0, 1], 2, 2))
compare(together, train([0, 1], 2, 1))
saved, carries, values, actions = together
compare((saved[1:], carries[1:], values[:, 1:], actions[1:]), train([1], 1, 4))
print("same")
"""


def run(code: str, devices: int, **env: str) -> subprocess.CompletedProcess[str]:
    before = os.environ.get("XLA_FLAGS", "")
    flags = f"{before} --xla_force_host_platform_device_count={devices}"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=1200,
    )


@pytest.mark.slow
def test_both_axes_give_the_numbers_of_one_device() -> None:
    done = run(PROGRAM, devices=4)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "same"


def test_too_few_devices_are_named() -> None:
    with pytest.raises(UserError, match=r"= 64 devices asked for, \d+ found"):
        devices.mesh(8, 8)


def test_meshes_have_both_axes() -> None:
    assert dict(devices.mesh(1, 1).shape) == {"population": 1, "data": 1}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("jax.platform", "cuda", "expected one of auto, cpu, gpu, tpu"),
        ("jax.precision", "half", "expected one of float32"),
        ("jax.coordinator", "nowhere", "expected host:port or auto"),
    ],
)
def test_wrong_values_are_named(key: str, value: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        devices.setup(config.make(["debug"], {key: value}).jax)


def test_states_that_no_device_could_hold_are_refused() -> None:
    huge, small = (jax.ShapeDtypeStruct((side, side), np.float32) for side in (2**24, 2**4))
    with pytest.raises(UserError, match=r"take 1,125,899\.9 GB on cpu, which has [\d.]+ GB"):
        devices.check_memory(huge, 1)
    devices.check_memory(small, 1)


def test_a_device_without_memory_left_is_an_error_for_people() -> None:
    with (
        pytest.raises(UserError, match=r"no memory left \(RES.*7 by"),
        devices.memory_errors(),
    ):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 7 bytes\nmore")
    with pytest.raises(jax.errors.JaxRuntimeError), devices.memory_errors():
        raise jax.errors.JaxRuntimeError("INTERNAL: else")


def test_compiled_programs_are_kept_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, Any] = {}
    monkeypatch.setattr(jax.config, "update", kept.__setitem__)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    devices.setup(config.make(["atari100k"], {"jax.platform": "cpu"}).jax)
    wanted = str(tmp_path / "harmony_dreamerv3" / "jax")
    assert kept["jax_compilation_cache_dir"] == wanted
    kept.clear()
    devices.setup(config.make(["debug"], {"jax.platform": "cpu", "jax.cache": False}).jax)
    assert "jax_compilation_cache_dir" not in kept


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_the_machine_counts_the_processors_that_may_be_used() -> None:
    program = """
import os
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
from harmony_dreamerv3.runtime import devices
print(devices.machine())
"""
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=True)
    assert "(cpu), 1 processors, jax" in done.stdout


def start(logdir: Path, *flags: object) -> subprocess.Popen[str]:
    words = [
        "train", "--configs", "debug", "--logdir", logdir, "--env.dummy.size", 16,
        "--run.train_fill", 20, "--run.eval_every", 40, "--run.save_every", 20,
        "--run.report_every", 40, "--jax.precision", "float64", "--jax.platform", "cpu", *flags,
    ]  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "harmony_dreamerv3", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.slow
def test_two_processes_train_one_learner(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for steps in (40, 80):  # The second time from the checkpoint of the first.
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            port = probe.getsockname()[1]
        flags = ("--run.steps", steps, "--jax.data_devices", 2, "--jax.processes", 2,
                 "--jax.coordinator", f"localhost:{port}")  # fmt: skip
        pair = [start(two, *flags, "--jax.process", n) for n in range(2)]
        said = [process.communicate(timeout=1200)[0] for process in pair]
        assert [process.returncode for process in pair] == [0, 0], "\n\n".join(said)
        alone = start(one, "--run.steps", steps)
        assert alone.communicate(timeout=1200)[0] and alone.returncode == 0
    found = [Checkpoints(folder, [folder]).load() for folder in (one, two)]
    assert found[0] and found[1] and found[0][0].state["updates"] == found[1][0].state["updates"]
    paths = [saved[0].files["learner.safetensors"] for saved in found if saved]
    first, second = (decode(path.read_bytes(), path) for path in paths)
    for name, array in first.items():
        np.testing.assert_allclose(second[name], array, rtol=0, atol=1e-9, err_msg=name)
    lines = [(folder / "episodes.jsonl").read_text().splitlines() for folder in (one, two)]
    assert lines[0] == lines[1] and json.loads(lines[0][-1])["step"] == 80
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_cache_that_cannot_be_is_said_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    used: list[object] = []
    monkeypatch.setattr(jax.config, "update", lambda name, value: used.append(value))
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    devices.use_cache()
    assert "not kept: Could not determine home" in capsys.readouterr().err and used == [None]
    (tmp_path / "file").touch()
    devices.use_cache(tmp_path / "file" / "below")
    assert "not kept:" in capsys.readouterr().err and used == [None] * 2
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "named"))
    devices.use_cache()
    assert used[2] == str(tmp_path / "named") and not capsys.readouterr().err
