"""The loop from end to end with a learner of a few numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_learner import FakeLearner
from small import SMALL, lines, train

import embodied.envs
from embodied.core.env import Env
from embodied.core.errors import UserError
from embodied.run import RunConfig, train_eval


def test_the_run_folder(tmp_path: Path) -> None:
    summary = train(tmp_path)
    assert summary["finished"] and summary["step"] == 120
    # 2 streams x (n - 3) windows >= 10 first at n = 8, step 16; an update every 8 / 8 = 1 agent
    # step afterwards; the last step acted on 118 stored ones.
    assert summary["updates"] == 118 - 16
    metrics = lines(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in metrics if "train/reward" in line] == [
        20,
        40,
        60,
        80,
        100,
        120,
    ]
    assert [line["step"] for line in metrics if "eval/return" in line] == [60, 120]
    assert [line["step"] for line in metrics if "report/weight" in line] == [40, 80, 120]
    assert (tmp_path / "videos" / "eval-episode-000000060.gif").stat().st_size > 100
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_episode_lines_have_every_field_and_evaluations_are_blocks(tmp_path: Path) -> None:
    train(tmp_path)
    episodes = lines(tmp_path / "episodes.jsonl")
    fields = ["mode", "step", "frame", "updates", "episode", "return", "length", "seed"]
    assert all(list(line) == [*fields, "terminated"] for line in episodes)
    numbers = [line["episode"] for line in episodes if line["mode"] == "eval"]
    assert numbers == [*range(5), *range(5)]
    training = [line["episode"] for line in episodes if line["mode"] == "train"]
    assert training == list(range(len(training))) and len(training) >= 4


def test_a_replay_too_large_for_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise MemoryError("Unable to allocate 24 TiB")

    monkeypatch.setattr("embodied.run.setup.Replay", refuse)
    with pytest.raises(UserError, match=r"no memory for .* 24 TiB; lower run\.replay_size"):
        train(tmp_path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"replay_context": 5}, r"run\.replay_context must be at most the window's 4 steps, got 5"),
        ({"replay_ends": True}, r"need run\.replay_episodes True"),
        ({"train_fill": 200}, r"run\.train_fill is 200 windows"),
    ],
)
def test_settings_that_do_not_go_together_claim_no_folder(
    settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        train(tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_a_run_that_has_done_more_steps_is_refused(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(UserError, match=r"run\.steps is 20, but .* has done 120"):
        train(tmp_path, steps=20)
    assert train(tmp_path, steps=119)["step"] == 120  # Two environments step together.


def test_equal_seeds_give_equal_runs(tmp_path: Path) -> None:
    for name in ("a", "b"):
        train(tmp_path / name)
    for file in ("metrics.jsonl", "episodes.jsonl"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("task", ["dummy_disc", "dummy_cont"])
def test_stored_actions_are_zero_where_an_episode_ends(task: str, tmp_path: Path) -> None:
    seen = []

    def make(member: int, index: int, seed: int) -> Env:
        return embodied.envs.make(task, seed, {"size": 8, "length": 5})

    class Watch(FakeLearner):
        def train(self, batches: list[dict[str, np.ndarray]]) -> Any:
            seen.append(batches[0])
            return super().train(batches)

    learner = Watch([0], make(0, 0, 0).act_space["action"])
    train_eval(learner, make, None, [tmp_path], [0], RunConfig(**SMALL), 2, 4)
    last = np.concatenate([batch["is_last"].reshape(-1) for batch in seen])
    actions = np.concatenate(
        [batch["action"].reshape(len(batch["action"]) * 4, -1) for batch in seen]
    )
    assert last.any() and not actions[last].any()
    assert np.abs(actions[~last]).sum(-1).all()


def test_training_on_an_environment_that_never_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def endless(member: int, index: int, seed: int) -> Env:
        return embodied.envs.make("dummy_disc", seed, {"size": 8, "length": 10**6, "death": 0.0})

    # 60 steps of each row hold 7 episodes and their resets.
    train(tmp_path, env=endless, eval_env=endless, episode_limit=7)
    assert capsys.readouterr().out.count("within run.episode_limit = 7 agent steps") == 1
    episodes = lines(tmp_path / "episodes.jsonl")
    assert {line["length"] for line in episodes} == {7} and len(episodes) == 2 * 7 + 2 * 5
    assert not any(line["terminated"] for line in episodes)
