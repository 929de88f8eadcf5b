"""A debug training of each suite, by the command line: it ends, and its records say so."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# Task, the package that it needs, and flags that keep it short.
SUITES = {
    "minatar_seaquest": ("minatar", ()),
    "crafter_reward": ("crafter", ("--env.crafter.length", "40", "--env.crafter.size", "32")),
    "dmcr_cartpole_balance": ("dm_control", ("--env.dmcr.size", "16", "--env.dmcr.repeat", "20")),
    "natural_cartpole_swingup": (
        "dm_control", ("--env.natural.size", "16", "--env.natural.repeat", "20"),
    ),
    "metaworld_lever_pull": (
        "metaworld", ("--env.metaworld.size", "16", "--env.metaworld.repeat", "25"),
    ),
}  # fmt: skip
FEW = (
    "--run.eval_eps",
    "2",
    "--run.eval_every",
    "200",
    "--run.save_every",
    "200",
    "--run.report_every",
    "0",
)


@pytest.mark.parametrize("task", SUITES)
def test_trains(task, tmp_path):
    package, flags = SUITES[task]
    pytest.importorskip(package)
    command = [sys.executable, "-m", "harmony_dreamerv3", "train", "--configs", "debug", "--task"]
    command += [task, "--logdir", str(tmp_path), *FEW, *flags]
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "episodes.jsonl").read_text().splitlines()]
    assert {"train", "eval"} == {line["mode"] for line in lines}
    assert max(line["step"] for line in lines) == 400
    if task.startswith("crafter"):
        assert "achievement_collect_wood" in lines[-1] and "Crafter score" in done.stdout
    if task.startswith("natural"):
        assert "generated scenes" in done.stdout and lines[-1]["generated_background"] == 1
