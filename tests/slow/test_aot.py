"""The update compiles for accelerators that are not there, within a budget of launches."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
BUDGETS = json.loads(Path(__file__).with_name("aot.json").read_text())
PACKAGES = {"h100": "jax_cuda12_plugin", "h200": "jax_cuda12_plugin"}


@pytest.mark.parametrize("budget", BUDGETS, ids=lambda b: f"{b['target']}-{b['learners']}")
def test_launches_and_memory(budget: dict) -> None:
    package = PACKAGES.get(budget["target"], "libtpu")
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the compiler for {budget['target']} is not installed ({package})")
    words = ("--target", budget["target"], "--learners", str(budget["learners"]), "--json")
    command = [sys.executable, "-m", "benchmarks.aot", *words, "--precision", "bfloat16"]
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", "TPU_SKIP_MDS_QUERY": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    row = json.loads(done.stdout.splitlines()[-1])
    assert row["compiles"], row["error"]
    assert row["grouped_convolutions"] == row["host"] == 0
    assert row["on_tensor_cores"] == row["products"] > 50
    for name in ("launches", "temporaries_mib"):
        assert row[name] <= 1.02 * budget[name], f"{name}: {row[name]}, {budget[name]} allowed"
