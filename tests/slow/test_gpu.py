"""The script for a machine with a GPU, rehearsed on a processor without network."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
MOST = 16 * 2**20  # Bytes that a file may have to come back.


def isolated() -> list[str]:
    """The command that takes the network away, where this system allows it."""
    command = ["unshare", "--user", "--map-root-user", "--net"]
    allowed = shutil.which("unshare") and not subprocess.call([*command, "true"])
    return command if allowed else []


def test_everything_is_done_once_and_what_comes_back_is_small(tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = [*isolated(), ROOT / "benchmarks/gpu.sh", out, "--debug", "--runs", tmp_path / "runs"]
    env = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    argv = [str(word) for word in [*line, "--minutes", "30"]]
    first = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "failed" not in (out / "log.txt").read_text()
    parts = (out / "done.txt").read_text().split()
    assert {"doctor", "parity-highest", "update-2-bfloat16", "update-plain", "resume"} <= {*parts}
    assert parts[-1] == "training" and len(parts) == len(set(parts))
    figures = [json.loads(text) for text in (out / "results.jsonl").read_text().splitlines()]
    assert {"update-1-default", "policy", "end_to_end", "evaluation"} <= {
        f["part"] for f in figures
    }
    assert "all within tolerance" in (out / "parity.txt").read_text()
    files = list(out.iterdir())
    assert len(files) <= 8 and all(path.stat().st_size < MOST for path in files)
    assert {"records.tar.gz", "table.md", "curves.png", "report.html"} <= {p.name for p in files}
    before = {path.name: path.stat().st_mtime_ns for path in files}
    subprocess.run(argv, env=env, check=True, capture_output=True)
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
