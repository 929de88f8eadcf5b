"""The newest checkpoint of a run plays, apart from training."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_learner import FakeLearner

import embodied.envs
from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.manifest import Part, Saved
from embodied.core.env import Env
from embodied.core.errors import UserError
from embodied.run import RunConfig, evaluate, train_eval

RUN = RunConfig(
    steps=60, train_ratio=8, train_fill=10, log_every=20, eval_every=60, eval_eps=7, eval_envs=3
)


def make_env(member: int, index: int, seed: int) -> Env:
    return embodied.envs.make("dummy_disc", seed, {"size": 8, "length": 6, "death": 0.2})


def learner(*seeds: int) -> FakeLearner:
    return FakeLearner(list(seeds), make_env(0, 0, 0).act_space["action"])


def test_the_eval_verb_repeats_the_last_evaluation_of_training(tmp_path: Path) -> None:
    train_eval(learner(3), make_env, make_env, [tmp_path], [3], RUN, 2, 4)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.jsonl")}
    result = evaluate(learner(3), make_env, [tmp_path], [3], RUN)
    assert before == {path: path.read_bytes() for path in tmp_path.glob("*.jsonl")}
    recorded = (tmp_path / "episodes.jsonl").read_text().splitlines()
    evaluation = [line for line in recorded if '"eval"' in line]
    assert evaluation == (tmp_path / "eval" / "episodes.jsonl").read_text().splitlines()
    returns = [json.loads(line)["return"] for line in evaluation]
    assert result["step"] == 60 and result["members"][0]["eval/return"] == np.mean(returns)


def test_the_eval_verb_needs_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint"):
        evaluate(learner(3), make_env, [tmp_path], [3], RUN)


@pytest.mark.parametrize(
    ("state", "files", "message"),
    [
        ({}, {"learner.safetensors": {}}, "its state has no proper value of 'seed'"),
        (None, {}, r"it lacks 'learner\.safetensors'"),
        (None, {"learner.safetensors": b"nonsense"}, "learner.safetensors is damaged"),
    ],
)
def test_the_eval_verb_refuses_what_is_no_checkpoint_of_a_run(
    state: dict | None, files: dict, message: str, tmp_path: Path
) -> None:
    train_eval(learner(3), make_env, None, [tmp_path], [3], RUN, 2, 4)
    (saved,) = Checkpoints(tmp_path, [tmp_path]).load() or []
    part = Part(saved.state if state is None else state, files)
    Checkpoints(tmp_path, [tmp_path]).save(61, [part])
    with pytest.raises(UserError, match=f"cannot read the checkpoint .*{message}"):
        evaluate(learner(3), make_env, [tmp_path], [3], RUN)


def test_an_older_checkpoint_other_seeds_and_a_film(tmp_path: Path) -> None:
    train_eval(learner(3), make_env, make_env, [tmp_path], [3], RUN, 2, 4)
    first = evaluate(learner(3), make_env, [tmp_path], [3], RUN, checkpoint=0)
    again = evaluate(learner(3), make_env, [tmp_path], [3], RUN, checkpoint=0)
    other = evaluate(learner(3), make_env, [tmp_path], [4], RUN, checkpoint=0)
    newest = evaluate(learner(3), make_env, [tmp_path], [3], RUN)
    assert (first["step"], newest["step"]) == (0, 60)
    returns = [each["members"][0]["eval/return"] for each in (first, again, other, newest)]
    assert returns[0] == returns[1] and returns[0] != returns[2] and returns[0] != returns[3]
    film = first["members"][0]["video"]
    assert film == tmp_path / "eval" / "videos" / f"eval-episode-{0:09d}.gif" and film.exists()
    with pytest.raises(UserError, match=r"no checkpoint of step 7 in .*, only of 0, 60"):
        evaluate(learner(3), make_env, [tmp_path], [3], RUN, checkpoint=7)


def test_the_eval_verb_needs_a_folder_for_its_results(tmp_path: Path) -> None:
    train_eval(learner(3), make_env, None, [tmp_path], [3], RUN, 2, 4)
    (tmp_path / "eval").write_text("")
    with pytest.raises(UserError, match="eval is not a folder"):
        evaluate(learner(3), make_env, [tmp_path], [3], RUN)


@pytest.mark.parametrize("name", ["eval", "eval/videos", "own", "own/videos"])
def test_the_eval_verb_writes_nothing_through_links(tmp_path: Path, name: str) -> None:
    run, victim = tmp_path / "run", tmp_path / "victim"
    train_eval(learner(3), make_env, None, [run], [3], RUN, 2, 4)
    victim.mkdir()
    (victim / "metrics.jsonl").write_text("precious")
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).symlink_to(victim)
    with pytest.raises(UserError, match=f"{name} is a link"):
        evaluate(learner(3), make_env, [run], [3], RUN, name.partition("/")[0])
    assert [path.name for path in victim.iterdir()] == ["metrics.jsonl"]
    assert (victim / "metrics.jsonl").read_text() == "precious"


def test_the_eval_verb_while_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_eval(learner(3), make_env, None, [tmp_path], [3], RUN, 2, 4)
    original, loads = Checkpoints.load, []

    def load(checkpoints: Checkpoints, say: object) -> list[Saved] | None:
        saved = original(checkpoints, say)
        loads.append(saved)
        if saved and len(loads) == 1:  # Training saves another one and forgets this one.
            old = tmp_path / "checkpoints/000000000060"
            Checkpoints(tmp_path, [tmp_path]).save(
                70,
                [
                    Part(
                        {**saved[0].state, "step": 70},
                        {k: p.read_bytes() for k, p in saved[0].files.items()},
                    )
                ],
            )
            shutil.rmtree(old, ignore_errors=True)
        return saved

    monkeypatch.setattr(Checkpoints, "load", load)
    assert evaluate(learner(3), make_env, [tmp_path], [3], RUN)["step"] == 70 and len(loads) == 2


class Interrupting(FakeLearner):
    """Gets Ctrl-C at one of its actions."""

    left = 9

    def act(self, *args: Any, **kwargs: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
        return super().act(*args, **kwargs)


def test_the_eval_verb_keeps_what_is_done_at_ctrl_c(tmp_path: Path) -> None:
    train_eval(learner(3), make_env, None, [tmp_path], [3], RUN, 2, 4)
    whole = evaluate(learner(3), make_env, [tmp_path], [3], RUN)
    wanted = (tmp_path / "eval" / "episodes.jsonl").read_text().splitlines()
    assert whole["cut"] is None and len(wanted) == 7
    agent = Interrupting([3], make_env(0, 0, 0).act_space["action"])
    result = evaluate(agent, make_env, [tmp_path], [3], RUN)
    assert result["cut"] == "SIGINT"
    lines = [
        json.loads(line) for line in (tmp_path / "eval/episodes.jsonl").read_text().splitlines()
    ]
    assert 0 < len(lines) < 7 and all(line.pop("cut") is True for line in lines)
    returns = [json.loads(line)["return"] for line in wanted]
    assert all(line["return"] in returns for line in lines)
    (metrics,) = (tmp_path / "eval" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(metrics)["cut"] is True
