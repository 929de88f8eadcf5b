"""The whole program, learner included, in processes that are killed, asked to stop, out of disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fingerprints import fingerprint
from harness import compare
from test_full_disk import Disk, disk

__all__ = ["disk"]
pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
FLAGS = ["--configs", "debug", "--jax.platform", "cpu", "--env.dummy.size", "16",
         "--run.steps", "200", "--run.eval_every", "60", "--run.save_every", "30",
         "--run.report_every", "90"]  # fmt: skip
PROGRAM = [sys.executable, "-m", "harmony_dreamerv3"]


def run(
    folder: Path, *flags: str, program: list[str] = PROGRAM, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Trains in a process."""
    command = [*program, "train", *FLAGS, "--logdir", str(folder), *flags]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=HERE.parents[1],
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Fingerprint of the undisturbed run."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    done = run(folder)
    assert done.returncode == 0, done.stderr
    return fingerprint(folder)


@pytest.mark.parametrize("moment", ["start", "compilation", "evaluation", "saving"])
def test_sigterm_at_any_moment(moment: str, wanted: dict[str, str], tmp_path: Path) -> None:
    program = [sys.executable, str(HERE / "signalled.py"), moment]
    new = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}  # So that there is compilation.
    empty = new if moment == "compilation" else {}
    done = run(tmp_path / "run", program=program, **empty)
    said = done.stdout.splitlines()
    if moment == "start":  # Before anything is there to save: it just ends.
        assert done.returncode == -signal.SIGTERM
        assert not (tmp_path / "run" / "checkpoints").exists()
    else:
        assert done.returncode == 0, done.stderr
        assert "signal" in said
        assert any(line.startswith("stopped by SIGTERM at step") for line in said)
    if moment == "compilation":
        assert said.index("signal") < said.index("compiled")
    again = run(tmp_path / "run")
    assert again.returncode == 0, again.stderr
    assert moment == "start" or "continuing from the checkpoint" in again.stdout
    assert fingerprint(tmp_path / "run") == wanted


def test_a_full_disk(disk: Disk, tmp_path: Path) -> None:
    flags = ["--env.dummy.size", "64"]
    assert run(tmp_path / "plain", *flags).returncode == 0
    folder = disk.path / "run"
    disk.leave(2_500_000)
    done = run(folder, *flags)
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith("error: cannot ") and "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr and "space and run the same" in done.stderr
    assert list(folder.glob("checkpoints/*/manifest.json"))
    disk.empty()
    again = run(folder, *flags)
    assert again.returncode == 0, again.stderr
    assert "continuing from the checkpoint of step" in again.stdout
    assert fingerprint(folder) == fingerprint(tmp_path / "plain")


@pytest.mark.parametrize(
    "flags",
    [["--task", "atari_pong", "--env.atari.length", "200"],
     ["--task", "dmc_walker_walk", "--env.dmc.image", "False"],
     ["--configs", "debug_v2", "harmony", "--env.dummy.size", "64"],
     ["--configs", "dreamerpro", "debug_v2", "harmony", "--env.dummy.size", "64"],
     ["--configs", "debug_2025", "harmony_2025", "--env.dummy.size", "16"],
     ["--configs", "debug_2025", "--run.consec_train", "2", "--env.dummy.size", "16"]],
    ids=["pong", "walker", "dreamerv2", "dreamerpro", "dreamerv3_2025", "consecutive"],
)  # fmt: skip
def test_kills(flags: list[str], tmp_path: Path) -> None:
    command = [*PROGRAM, "train", *FLAGS, "--logdir", "{logdir}", "--run.eval_eps", "2", *flags]
    tally = compare(command, tmp_path, 5, seed=3, after=5)
    assert tally.kills == 5 and tally.begun
