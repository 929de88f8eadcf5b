"""Sweeps of real games, undisturbed on this machine and on a cluster that loses a node."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import ray_cluster
from s3_server import BUCKET, serve

from embodied.checkpoint.storage import Storage
from harmony_dreamerv3 import main as command
from sweeps import States, plan, progress
from sweeps.remote import refresh

# Ray's and the store's libraries warn in threads of their own.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

STEPS = 240
LINE = [
    "sweep", "--configs", "debug", "--methods", "dreamerv3", "harmony",
    "--run.steps", STEPS, "--run.save_every", "40", "--run.eval_every", "120",
    "--run.report_every", "0", "--run.video_length", "0", "--env.atari.length", "240",
    "--encoder.mlp_keys", "$^", "--decoder.mlp_keys", "$^",
]  # fmt: skip
MANY = [*LINE, "--tasks", "atari_pong", "atari_boxing", "--seeds", "0", "1"]
FEW = [*LINE, "--tasks", "atari_pong", "--seeds", "0"]


def run(*argv: object) -> int:
    return command.main([str(word) for word in argv])


def equal(one: Path, two: Path) -> int:
    """Compares the records of two sweeps byte by byte; returns the number of jobs."""
    kept = plan.load(two)
    assert kept is not None
    for job in kept.jobs:
        for name in ("episodes.jsonl", "metrics.jsonl"):
            pair = [job.runs(root)[0] / name for root in (one, two)]
            assert pair[0].read_bytes() == pair[1].read_bytes(), f"{job.name}: {name}"
    return len(kept.jobs)


def lose_a_node(
    line: list[object], root: Path, done: int, monkeypatch: pytest.MonkeyPatch, url: str = ""
) -> None:
    """Runs a sweep on a cluster of two nodes, one of which dies halfway.

    Args:
      line: the command.
      root: `--logdir`.
      done: jobs to be finished before; two more must be running then.
      monkeypatch: sets the environment of the jobs.
      url: of storage.
    """
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    options = ["--logdir", root, "--engine", "ray", *(["--storage", url] if url else [])]
    with ray_cluster.start(monkeypatch) as cluster:
        node = cluster.add_node(**ray_cluster.node())
        killed: list[str] = []

        def kill() -> None:
            while not _halfway(root, done, url):
                time.sleep(0.05)
            cluster.remove_node(node, allow_graceful=False)
            killed.append("node")

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        assert run(*line, *options, "--address", cluster.address) == 0
    assert killed


def test_a_lost_node_changes_nothing(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    local, ray = tmp_path / "local", tmp_path / "ray"
    assert run(*MANY, "--logdir", local, "--jobs-per-device", 2) == 0
    assert "8 of 8 jobs finished" in capsys.readouterr().out
    lose_a_node(MANY, ray, 2, monkeypatch)
    said = capsys.readouterr().out
    assert "was lost with its machine; continues from step" in said
    assert "8 of 8 jobs finished, 0 failed" in said
    assert equal(local, ray) == 8

    assert run(*MANY, "--logdir", ray) == 0  # Nothing left to do, for any engine.
    assert "8 jobs, 8 of them finished" in capsys.readouterr().out
    assert run("sweep", "--status", ray) == 0
    shown = capsys.readouterr().out
    assert "8 finished; 100.0% of all steps" in shown and "(2 games, 4 runs)" in shown
    assert run("table", ray, "--frames", 4 * STEPS) == 0
    shown = capsys.readouterr().out
    assert "dreamerv3" in shown and "harmony" in shown and "2 of 26" in shown
    assert run("diff", f"{ray}::dreamerv3", f"{ray}::harmony", "--frames", 4 * STEPS) == 0
    assert run("diff", f"{local}::harmony", f"{ray}::harmony", "--frames", 4 * STEPS) == 0


def test_a_lost_node_changes_nothing_where_storage_keeps_the_runs(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    local, ray, url = tmp_path / "local", tmp_path / "ray", f"{BUCKET}/sweep"
    assert run(*FEW, "--logdir", local) == 0
    capsys.readouterr()
    with serve(monkeypatch):
        lose_a_node(FEW, ray, 0, monkeypatch, url)
        said = capsys.readouterr().out
        assert "was lost with its machine; continues from step" in said
        assert "2 of 2 jobs finished, 0 failed" in said
        assert equal(local, ray) == 2  # Only what is small has come here.
        assert not list(ray.rglob("*.safetensors")) and not list(ray.rglob("replay"))

        new = tmp_path / "elsewhere"
        assert run("sweep", "--status", new, "--storage", url) == 0
        assert "2 finished; 100.0% of all steps" in capsys.readouterr().out
        assert equal(local, new) == 2
        assert run("table", url, "--frames", 4 * STEPS) == 0
        shown = capsys.readouterr().out
        assert "dreamerv3" in shown and "harmony" in shown and "1 of 26" in shown
        assert run("diff", f"{url}::dreamerv3", f"{url}::harmony", "--frames", 4 * STEPS) == 0
        assert run("sweep", "--logdir", ray) == 2  # Another engine cannot see the runs.
        assert "needs --engine ray" in capsys.readouterr().err


def _halfway(root: Path, done: int, url: str) -> bool:
    """Returns whether as many jobs are finished, and two more have a checkpoint and run."""
    if url:
        refresh(Storage(url), root)
    kept = plan.load(root) if root.exists() else None
    if kept is None:
        return False
    found = [(States(root).read(job).state, progress.saved(job, root)) for job in kept.jobs]
    finished = sum(saved.done for _, saved in found)
    going = [s for state, s in found if state == "running" and 40 <= s.step < STEPS]
    return finished >= done and len(going) == 2
