"""What training claims, says and gives back."""

from __future__ import annotations

from pathlib import Path

import pytest
from small import SMALL, folders, make_env, make_learner, train

from embodied.checkpoint.lock import Lock
from embodied.core.errors import UserError
from embodied.run import RunConfig, train_eval

RUN = RunConfig(**{**SMALL, "steps": 30})


def test_a_folder_each_for_seeds_in_one_folder(tmp_path: Path) -> None:
    learner = make_learner((3, 4))
    with pytest.raises(ValueError, match="2 members, 2 seeds, 1 folders"):
        train_eval(learner, make_env, None, [tmp_path], [3, 4], RUN, 2, 4)
    apart = [tmp_path / "a" / "seed-3", tmp_path / "b" / "seed-4"]
    with pytest.raises(UserError, match="must lie in one folder"):
        train_eval(learner, make_env, None, apart, [3, 4], RUN, 2, 4)
    assert not list(tmp_path.iterdir())


def test_configs_are_written_and_the_summary_names_members(tmp_path: Path) -> None:
    seeds, texts = [3, 4], ["seed: 3\n", "seed: 4\n"]
    where = folders(tmp_path, seeds)
    learner = make_learner(seeds)
    done = train_eval(learner, make_env, None, where, seeds, RUN, 2, 4, configs=texts)
    assert (done["step"], done["finished"], done["signal"]) == (30, True, None)
    assert [member["seed"] for member in done["members"]] == seeds
    assert [Path(member["logdir"]) for member in done["members"]] == where
    assert all(member["frozen"] is None for member in done["members"])
    assert [(folder / "config.yaml").read_text() for folder in where] == texts


def test_a_config_is_replaced_only_by_a_run_that_goes_on(tmp_path: Path) -> None:
    def run(text: str, steps: int) -> None:
        settings = RunConfig(**{**SMALL, "steps": steps})
        train_eval(make_learner(), make_env, None, [tmp_path], [3], settings, 2, 4, configs=[text])

    run("first", 40)
    with pytest.raises(UserError, match="has done 40"):
        run("refused", 30)
    assert (tmp_path / "config.yaml").read_text() == "first"
    run("second", 42)
    assert (tmp_path / "config.yaml").read_text() == "second"


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    with pytest.raises(UserError, match="is in use by another run"):
        train(tmp_path, steps=30)
    lock.release()
    assert train(tmp_path, steps=30)["finished"]
