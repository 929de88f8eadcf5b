"""Every benchmark script runs and prints lines of JSON with finite figures, nothing else."""

import json
import math
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SMALL = ("--configs", "debug", "--batch", "2", "--length", "6")
SCRIPTS = {
    "compile": (*SMALL, "--repeats", "1"),
    "end_to_end": (
        *SMALL, "--repeats", "1", "--task", "dummy_disc", "--steps", "160", "--fill", "32",
        "--log-every", "20",
    ),
    "env": ("--envs", "4", "--seconds", "0.2"),
    "evaluation": (
        *SMALL, "--task", "dummy_disc", "--episodes", "4", "--envs", "3", "--processes", "2",
    ),
    "hlo_count": SMALL,
    "parts": (*SMALL, "--repeats", "1"),
    "policy": (*SMALL, "--repeats", "1", "--rows", "1", "3", "--learners", "1", "2"),
    "replay": (*SMALL, "--repeats", "1", "--capacity", "400", "--inserts", "200"),
    "save": (*SMALL, "--repeats", "1"),
    "update": (
        *SMALL, "--repeats", "1", "--learners", "1", "2", "--precision", "float32", "--plain",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_prints_finite_figures(name):
    command = [sys.executable, "-m", f"benchmarks.{name}", *SCRIPTS[name], "--json"]
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    figures = list(numbers([json.loads(line) for line in done.stdout.splitlines()]))
    assert figures and all(math.isfinite(figure) for figure in figures)


def numbers(found):
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list):
        for value in found:
            yield from numbers(value)
    elif isinstance(found, int | float):
        yield found
