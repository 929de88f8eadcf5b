"""The cluster engine on a real Ray cluster, with a program that only counts."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embodied.run.signals import StopFlag
from embodied.run.sweep import Job, Runner, States, progress

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = str(Path(__file__).with_name("sweep_program.py"))

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own.
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        yield made
        made.shutdown()


def make(method: str, *options: str, steps: int = 3) -> Job:
    arguments = (PROGRAM, "--steps", str(steps), *options)
    return Job(method, "dummy_disc", (0,), False, arguments, steps)


def run(root: Path, jobs: list[Job], address: str, stop: StopFlag | None = None) -> list[str]:
    from embodied.run.sweep.cluster import RayEngine

    said: list[str] = []
    engine = RayEngine(root, address)
    try:
        runner = Runner(root, jobs, engine, retries=1, wait=0.1, tell=said.append)
        runner.run(StopFlag() if stop is None else stop)
    finally:
        engine.close()
    assert not list((root / "sweep").glob("stop-*"))
    return said


def test_a_node_dies_and_its_job_continues_on_another(cluster: Any, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=1)
    jobs = [make(name, "--nap", "0.5", steps=40) for name in "ab"]
    killed: list[int] = []

    def kill() -> None:
        while not all(progress.saved(job, tmp_path).step >= 3 for job in jobs):
            time.sleep(0.1)
        killed.extend(progress.saved(job, tmp_path).step for job in jobs)
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=kill)
    thread.start()
    said = run(tmp_path, jobs, cluster.address)
    thread.join()
    assert killed and all(step < 40 for step in killed)
    assert [States(tmp_path).read(job).state for job in jobs] == ["finished", "finished"]
    assert sum("was lost with its machine; continues from step" in line for line in said) == 1
    logs = [(tmp_path / "sweep" / "logs" / f"{job.name}.log").read_text() for job in jobs]
    assert sorted(log.count("\n--- ") for log in logs) == [1, 2]


def test_failures_and_stops_are_those_of_the_local_engine(cluster: Any, tmp_path: Path) -> None:
    jobs = [make("a", "--fail"), make("b", "--die", "2")]
    said = run(tmp_path, jobs, cluster.address)
    assert [States(tmp_path).read(job).state for job in jobs] == ["failed", "finished"]
    assert any("something is wrong" in line for line in said)
    endless, stop = [make("c", "--nap", "0.1", steps=10_000), make("d")], StopFlag()

    def ask() -> None:
        while progress.saved(endless[0], tmp_path).step < 2:
            time.sleep(0.1)
        stop.name = "SIGTERM"

    thread = threading.Thread(target=ask)
    thread.start()
    run(tmp_path, endless, cluster.address, stop)
    thread.join()
    assert States(tmp_path).read(endless[0]).state == "stopped"
    assert States(tmp_path).read(endless[1]).state == "stopped"  # It had not begun.
    assert (tmp_path / endless[0].folder / "visits").exists()
