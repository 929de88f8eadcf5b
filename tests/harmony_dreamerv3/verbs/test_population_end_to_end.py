"""A population from end to end, on the block `debug`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.core.env import Env
from embodied.core.rng import derive_seed
from embodied.run import MakeEnv
from harmony_dreamerv3 import config
from harmony_dreamerv3 import main as command
from harmony_dreamerv3.config import environments

LINE = ["train", "--configs", "debug", "--env.dummy.size", "16", "--run.train_fill", "20",
        "--run.eval_every", "60", "--run.save_every", "30", "--run.report_every", "0",
        "--run.log_every", "20", "--run.video_length", "0"]  # fmt: skip


class Crash:
    """An environment that raises at one of its steps."""

    def __init__(self, env: Env, step: int) -> None:
        self._env, self._left = env, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def step(self, action: np.ndarray) -> dict[str, np.ndarray]:
        self._left -= 1
        if self._left == 0:
            raise RuntimeError("the simulator broke")
        return self._env.step(action)


def run(logdir: Path, *flags: object, steps: int = 120) -> int:
    words = [*LINE, "--logdir", logdir, "--run.steps", steps, *flags]
    return command.main([str(word) for word in words])


@pytest.mark.slow
def test_a_population_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = ["--seeds", 0, 1, 2]
    whole, hurt = tmp_path / "whole", tmp_path / "hurt"
    assert run(whole, *seeds) == 0
    folders = [whole / f"seed-{n}" for n in range(3)]
    episodes = [(folder / "episodes.jsonl").read_text() for folder in folders]
    assert len(set(episodes)) == 3
    assert all(json.loads(line)["seed"] == 1 for line in episodes[1].splitlines())
    # One manifest commits all checkpoints.
    commits = sorted(path.stem for path in (whole / "checkpoints").glob("*.json"))
    assert int(commits[-1][:12]) == 120
    body = json.loads(
        json.loads((whole / "checkpoints" / f"{commits[-1]}.json").read_text())["body"]
    )
    assert sorted(body["members"]) == ["seed-0", "seed-1", "seed-2"]

    # An environment of seed 1 breaks in training: the others do what they would have done.
    env_maker = environments.maker

    def breaking(made: config.Config, evaluation: bool = False) -> MakeEnv:
        make_env = env_maker(made, evaluation)

        def make(member: int, index: int, seed: int) -> Env:
            env = make_env(member, index, seed)
            return Crash(env, 50) if member == 1 and seed in training_seeds else env  # type: ignore[return-value]

        return make

    training_seeds = {derive_seed(n, 0, 0, 0) for n in range(3)}
    monkeypatch.setattr(environments, "maker", breaking)
    capsys.readouterr()
    assert run(hurt, *seeds) == 1
    said = capsys.readouterr().out
    assert "the simulator broke" in said and "seed 1 is frozen, the others go on" in said
    assert all(f"seed-{n}: dummy_disc, method dreamerv3, seed {n}" in said for n in range(3))
    for n in (0, 2):
        assert (hurt / f"seed-{n}" / "episodes.jsonl").read_text() == episodes[n]
        _same(hurt / f"seed-{n}", folders[n])
    monkeypatch.setattr(environments, "maker", env_maker)

    # Both continue, the frozen seed stays as it was.
    frozen = Checkpoints(hurt, [hurt / f"seed-{n}" for n in range(3)]).load()
    assert frozen and "the simulator broke" in frozen[1].state["frozen"]
    assert run(hurt, *seeds, steps=150) == 1 and run(whole, *seeds, steps=150) == 0
    for n in (0, 2):
        _same(hurt / f"seed-{n}", folders[n])
    again = Checkpoints(hurt, [hurt / f"seed-{n}" for n in range(3)]).load()
    assert again and [part.state["step"] for part in again] == [150, frozen[1].state["step"], 150]

    # The folder of a seed stands for itself: it can be evaluated, and continued alone.
    assert command.main(["eval", str(folders[1])]) == 0
    assert run(folders[2], "--seed", 2, steps=180) == 0
    saved = Checkpoints(folders[2], [folders[2]]).load()
    assert saved and saved[0].state["step"] == 180


def _same(one: Path, two: Path) -> None:
    """Compares the newest parameters of two run folders, bit by bit."""
    found = [Checkpoints(folder, [folder]).load() for folder in (one, two)]
    assert found[0] and found[1]
    first, second = (part[0].files["learner.safetensors"].read_bytes() for part in found if part)
    assert first == second
