"""Jobs whose runs are kept in storage, without a cluster, with a program that only counts."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import pytest

from embodied.checkpoint.storage import Storage, StorageError
from embodied.run.signals import StopFlag
from sweeps import Job, JobState, Runner, States, progress, remote

PROGRAM = str(Path(__file__).with_name("sweep_program.py"))
STOP = "sweep/stop-1"


def make(*options: str, seeds: tuple[int, ...] = (0,), steps: int = 3) -> Job:
    listed = ("--seeds", *map(str, seeds)) if len(seeds) > 1 else ()
    arguments = (PROGRAM, "--steps", str(steps), *listed, *options)
    return Job("a", "dummy_disc", seeds, len(seeds) > 1, arguments, steps)


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    (tmp_path / "node").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "node"))
    monkeypatch.setattr(remote, "PAUSE", 0.02)
    return Storage(f"file://{tmp_path}/there")


def step_of(storage: Storage, job: Job, root: Path) -> int:
    remote.refresh(storage, root)
    return progress.saved(job, root).step


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_an_attempt_goes_on_where_the_last_one_was(
    storage: Storage, seeds: tuple[int, ...], tmp_path: Path
) -> None:
    job, root = make("--die", "4", "--nap", "0.1", seeds=seeds, steps=6), tmp_path / "here"
    before = JobState(failures=1, saved=7)
    assert remote.attempt(storage.url, job, before, STOP, 1) == -9
    assert 0 < step_of(storage, job, root) == 3
    state = States(root).read(job)
    assert (state.state, state.failures, state.saved, state.pid) == ("stopped", 1, 7, 0)
    assert state.host
    assert remote.attempt(storage.url, job, before, STOP, 1) == 0
    remote.refresh(storage, root)
    assert progress.saved(job, root).done
    assert storage.read(f"{job.folder}/visits") == b"- 6\n"
    log = (root / "sweep" / "logs" / f"{job.name}.log").read_text()
    assert log.count("\n--- ") == 2  # Those of both attempts.
    assert progress.measure(job, root).step == 6
    assert not list((tmp_path / "node").iterdir())  # Nothing is left on the node.


def test_the_sweep_may_stop_a_job(storage: Storage, tmp_path: Path) -> None:
    job, root = make("--nap", "0.05", steps=10_000), tmp_path / "here"

    def ask() -> None:
        while step_of(storage, job, root) < 2:
            time.sleep(0.05)
        storage.write(STOP, b"")

    thread = threading.Thread(target=ask)
    thread.start()
    assert remote.attempt(storage.url, job, JobState(), STOP, 1) == 0
    thread.join()
    reached = step_of(storage, job, root)
    assert 2 <= reached < 10_000
    assert storage.read(f"{job.folder}/visits") == f"- {reached}\n".encode()
    assert remote.attempt(storage.url, job, JobState(), STOP, 1) == 0  # Not begun at all.
    assert step_of(storage, job, root) == reached


def test_storage_that_fails_for_a_while_costs_nothing(
    storage: Storage, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    put, left = Storage.put, [8]

    def fail(self: Storage, source: Path, path: str) -> None:
        if "checkpoints" in path and left[0]:
            left[0] -= 1
            raise StorageError("out of reach")
        put(self, source, path)

    monkeypatch.setattr(Storage, "put", fail)
    job = make("--nap", "0.1", steps=4)
    assert remote.attempt(storage.url, job, JobState(), STOP, 1) == 0
    assert step_of(storage, job, tmp_path / "here") == 4 and left == [0]
    assert "warning: out of reach" in capsys.readouterr().out
    left[0] = 10**9
    monkeypatch.setattr(remote, "PATIENCE", 0.0)
    with pytest.raises(StorageError, match="out of reach"):
        remote.attempt(storage.url, make("--nap", "0.1", steps=5), JobState(), STOP, 1)


def test_a_job_that_was_taken_over_ends(storage: Storage, tmp_path: Path, capsys: Any) -> None:
    job = make("--nap", "0.05", steps=10_000)

    def take() -> None:
        while not storage.exists(f"{job.folder}/owner"):
            time.sleep(0.05)
        storage.write(f"{job.folder}/owner", b"another attempt")

    thread = threading.Thread(target=take)
    thread.start()
    with pytest.raises(remote.Superseded):
        remote.attempt(storage.url, job, JobState(), STOP, 1)
    thread.join()
    assert "another attempt has taken over" in capsys.readouterr().out


class OneNode:
    """What the engine uses of Ray, with every task done as soon as it is given out."""

    def __init__(self) -> None:
        kinds = ("WorkerCrashedError", "NodeDiedError", "OwnerDiedError", "OutOfMemoryError")
        base = type("RayError", (Exception,), {})
        self.exceptions = types.SimpleNamespace(
            RayError=base, **{name: type(name, (base,), {}) for name in kinds}
        )
        self.done: list[Any] = []

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 1.0}

    def remote(self, **settings: Any) -> Any:
        def made(function: Any) -> Any:
            def now(*args: Any) -> int:
                self.done.append(function(*args))
                return len(self.done) - 1

            given = types.SimpleNamespace(remote=now)
            return types.SimpleNamespace(options=lambda **options: given)

        return made

    def wait(self, tasks: list[int], num_returns: int, timeout: float) -> Any:
        return tasks, []

    def get(self, task: int) -> Any:
        return self.done[task]


def test_the_engine_keeps_runs_in_storage(
    storage: Storage, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    from sweeps.cluster import RayEngine

    monkeypatch.setitem(sys.modules, "ray", OneNode())
    monkeypatch.setattr("sweeps.cluster._PATIENCE", 0.05)
    listed, left = Storage.paths, [2]

    def fail(self: Storage) -> dict[str, str]:
        if self.url == storage.url and left[0]:
            left[0] -= 1
            raise StorageError("out of reach")
        return listed(self)

    monkeypatch.setattr(Storage, "paths", fail)
    root, said = tmp_path / "here", []
    jobs = [make("--die", "2"), dataclasses.replace(make("--fail"), method="b")]
    engine = RayEngine(root, storage=storage)
    runner = Runner(root, jobs, engine, retries=1, wait=0.01, tell=said.append)
    assert runner.run(StopFlag()) == 1
    engine.stop()
    assert [path for path in listed(storage) if "stop-" in path]
    engine.close()
    assert not [path for path in listed(storage) if "stop-" in path]
    assert [States(root).read(job).state for job in jobs] == ["finished", "failed"]
    assert any("continues from step 1" in line for line in said)
    assert any("something is wrong" in line for line in said)  # Its log came here.
    assert capsys.readouterr().out.count("out of reach; trying again") == 2
