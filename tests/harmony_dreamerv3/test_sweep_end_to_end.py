"""Sweeps of real games, undisturbed on this machine and on a cluster that loses a node."""

from __future__ import annotations

import os
import threading
import time
import warnings
from pathlib import Path

import pytest

from embodied.run.sweep import States, plan, progress
from harmony_dreamerv3 import main as command

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
STEPS = 240
LINE = [
    "sweep", "--configs", "debug", "--tasks", "atari_pong", "atari_boxing",
    "--methods", "dreamerv3", "harmony", "--seeds", "0", "1",
    "--run.steps", STEPS, "--run.save_every", "40", "--run.eval_every", "120",
    "--run.report_every", "0", "--run.video_length", "0", "--env.atari.length", "240",
    "--encoder.mlp_keys", "$^", "--decoder.mlp_keys", "$^",
]  # fmt: skip


def run(*argv: object) -> int:
    return command.main([str(word) for word in argv])


def test_a_lost_node_changes_nothing(tmp_path: Path, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    paths = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    monkeypatch.setenv("PYTHONPATH", paths)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    local, ray = tmp_path / "local", tmp_path / "ray"
    assert run(*LINE, "--logdir", local, "--jobs-per-device", 2) == 0
    assert "8 of 8 jobs finished" in capsys.readouterr().out

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own.
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        try:
            node = cluster.add_node(num_cpus=1)
            killed: list[str] = []

            def kill() -> None:
                while not _halfway(ray):
                    time.sleep(0.05)
                cluster.remove_node(node, allow_graceful=False)
                killed.append("node")

            thread = threading.Thread(target=kill, daemon=True)
            thread.start()
            assert run(*LINE, "--logdir", ray, "--engine", "ray", "--address", cluster.address) == 0
        finally:
            cluster.shutdown()
    said = capsys.readouterr().out
    assert killed and "was lost with its machine; continues from step" in said
    assert "8 of 8 jobs finished, 0 failed" in said

    kept = plan.load(ray)
    assert kept is not None and len(kept.jobs) == 8
    for job in kept.jobs:
        for name in ("episodes.jsonl", "metrics.jsonl"):
            one, two = (job.runs(root)[0] / name for root in (local, ray))
            assert one.read_bytes() == two.read_bytes(), f"{job.name}: {name}"

    assert run(*LINE, "--logdir", ray) == 0  # Nothing left to do, for any engine.
    assert "8 jobs, 8 of them finished" in capsys.readouterr().out
    assert run("sweep", "--status", ray) == 0
    shown = capsys.readouterr().out
    assert "8 finished; 100.0% of all steps" in shown and "(2 games, 4 runs)" in shown
    assert run("table", ray, "--frames", 4 * STEPS) == 0
    shown = capsys.readouterr().out
    assert "dreamerv3" in shown and "harmony" in shown and "2 of 26" in shown
    assert run("diff", f"{ray}::dreamerv3", f"{ray}::harmony", "--frames", 4 * STEPS) == 0
    assert run("diff", f"{local}::harmony", f"{ray}::harmony", "--frames", 4 * STEPS) == 0


def _halfway(root: Path) -> bool:
    """Returns whether two jobs are finished, and two more have a checkpoint and run."""
    kept = plan.load(root) if root.exists() else None
    if kept is None:
        return False
    found = [(States(root).read(job).state, progress.saved(job, root)) for job in kept.jobs]
    done = sum(saved.done for _, saved in found)
    going = [s for state, s in found if state == "running" and 40 <= s.step < STEPS]
    return done >= 2 and len(going) == 2
