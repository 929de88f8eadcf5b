"""The cluster engine on a real Ray cluster, with a program that only counts."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray_cluster

from embodied.checkpoint.storage import Storage
from embodied.core.errors import UserError
from embodied.run.signals import StopFlag
from sweeps import Job, Runner, States, progress
from sweeps.remote import refresh

PROGRAM = str(Path(__file__).with_name("sweep_program.py"))

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with ray_cluster.start(monkeypatch) as made:
        yield made


def make(method: str, *options: str, steps: int = 3) -> Job:
    arguments = (PROGRAM, "--steps", str(steps), *options)
    return Job(method, "dummy_disc", (0,), False, arguments, steps)


def run(
    root: Path, jobs: list[Job], address: str, storage: Storage | None, stop: StopFlag | None = None
) -> list[str]:
    from sweeps.cluster import RayEngine

    said: list[str] = []
    engine = RayEngine(root, address, storage=storage)
    try:
        runner = Runner(root, jobs, engine, retries=1, wait=0.1, tell=said.append)
        runner.run(StopFlag() if stop is None else stop)
    finally:
        engine.close()
    assert not list((root / "sweep").glob("stop-*"))
    assert not storage or not [path for path in storage.paths() if "stop-" in path]
    return said


def step_of(job: Job, root: Path, storage: Storage | None) -> int:
    if storage:
        refresh(storage, root)
    return progress.saved(job, root).step


@pytest.fixture(params=["shared folder", "storage"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage | None:
    return Storage(f"file://{tmp_path}/there") if request.param == "storage" else None


def test_a_job_takes_whole_accelerators_or_a_part_of_one(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeps.cluster import RayEngine

    engine = RayEngine(tmp_path, cluster.address, share=2)
    monkeypatch.setattr(engine._ray, "cluster_resources", lambda: {"GPU": 4.0})
    with pytest.raises(UserError, match=r"not 1\.5: use --jobs-per-device 1"):
        engine.start(dataclasses.replace(make("a"), devices=3))
    engine.close()


def test_a_node_dies_and_its_job_continues_on_another(
    cluster: Any, tmp_path: Path, storage: Storage | None
) -> None:
    root = tmp_path / "here"
    node = cluster.add_node(**ray_cluster.node())
    jobs = [make(name, "--nap", "0.5", steps=40) for name in "ab"]
    killed: list[int] = []

    def kill() -> None:
        while not all(step_of(job, root, storage) >= 3 for job in jobs):
            time.sleep(0.1)
        killed.extend(step_of(job, root, storage) for job in jobs)
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=kill)
    thread.start()
    said = run(root, jobs, cluster.address, storage)
    thread.join()
    assert killed and all(step < 40 for step in killed)
    assert [States(root).read(job).state for job in jobs] == ["finished", "finished"]
    assert sum("was lost with its machine; continues from step" in line for line in said) == 1
    logs = [(root / "sweep" / "logs" / f"{job.name}.log").read_text() for job in jobs]
    assert sorted(log.count("\n--- ") for log in logs) == [1, 2]


def test_failures_and_stops_are_those_of_the_local_engine(
    cluster: Any, tmp_path: Path, storage: Storage | None
) -> None:
    jobs = [make("a", "--fail"), make("b", "--die", "2")]
    said = run(tmp_path, jobs, cluster.address, storage)
    assert [States(tmp_path).read(job).state for job in jobs] == ["failed", "finished"]
    assert any("something is wrong" in line for line in said)
    endless, stop = [make("c", "--nap", "0.1", steps=10_000), make("d")], StopFlag()

    def ask() -> None:
        while step_of(endless[0], tmp_path, storage) < 2:
            time.sleep(0.1)
        stop.name = "SIGTERM"

    thread = threading.Thread(target=ask)
    thread.start()
    run(tmp_path, endless, cluster.address, storage, stop)
    thread.join()
    assert States(tmp_path).read(endless[0]).state == "stopped"
    assert States(tmp_path).read(endless[1]).state == "stopped"  # It had not begun.
    visits = f"{endless[0].folder}/visits"
    assert storage.exists(visits) if storage else (tmp_path / visits).exists()


def test_tasks_that_find_no_room_can_be_stopped(cluster: Any, tmp_path: Path) -> None:
    from sweeps.cluster import RayEngine

    engine = RayEngine(tmp_path, cluster.address, cpus=64.0)
    try:
        job = make("a")
        engine.start(job)
        assert not engine.poll()
        engine.stop()
        end, ended = time.monotonic() + 30, engine.poll()
        while not ended and time.monotonic() < end:
            time.sleep(0.2)
            ended = engine.poll()
        assert [(one.job, one.code) for one in ended] == [(job, 0)]
    finally:
        engine.close()
