"""`train` from Python: environments, callbacks, going on."""

import doctest
import importlib.util
import json
from pathlib import Path

import jax
import numpy as np
import pytest

import harmony_dreamerv3
from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.api.training import train
from harmony_dreamerv3.config import folder as run_folder

ROOT = Path(__file__).parents[3]


def lines(folder):
    return [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]


def test_it_returns_what_came_of_it(trained):
    folder, _, result, seen = trained
    assert (result["step"], result["finished"], result["signal"]) == (60, True, None)
    (member,) = result["members"]
    assert member["seed"] == 0 and member["logdir"] == str(folder) and member["frozen"] is None
    config = run_folder.read(folder)
    assert config.task == "gym_CartPole-v1" and config.label == "harmony"
    modes = [line["mode"] for line in lines(folder)]
    assert modes.count("eval") == 4 and "train" in modes
    # The callback saw every update, in order.
    updates = [updates for updates, _ in seen]
    assert updates == sorted(updates) and updates[-1] == result["updates"]
    assert all(metrics["loss/model"].shape == (1,) for _, metrics in seen)


def test_the_caller_keeps_the_environment(trained):
    env = trained[1]
    obs, _ = env.reset(seed=3)  # Training left it open.
    assert env.action_space.contains(0) and np.isfinite(obs).all()


def test_it_goes_on(trained, tmp_path):
    """Thirty steps and thirty are sixty, exactly: the state of this environment can be saved."""
    folder, env, _, _ = trained
    config = run_folder.read(folder)
    half = configs.make([str(folder)], {"run.steps": 30})
    train(half, env=env, logdir=tmp_path / "run")
    result = train(config, env=env, logdir=tmp_path / "run")
    assert result["finished"]
    a, b = (harmony_dreamerv3.load(path, env=env) for path in (folder, tmp_path / "run"))
    assert a.step == b.step == 60
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
    assert lines(folder) == lines(tmp_path / "run")


def test_what_a_callback_raises_ends_training(trained, tmp_path):
    _, env, _, _ = trained
    config = run_folder.read(trained[0])

    def stop(updates, metrics):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        train(config, env=env, logdir=tmp_path / "run", callbacks=[stop])


def test_an_environment_that_is_none_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected a Gymnasium environment, or what makes one"):
        train(configs.make(["debug"]), env=3, logdir=tmp_path)


def test_names_of_the_package_are_lazy():
    assert harmony_dreamerv3.train is train
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        harmony_dreamerv3.trian  # noqa: B018


def test_the_page_runs(tmp_path, monkeypatch):
    """Its output of training is read by eye alone, but for the first line."""
    checker = doctest.OutputChecker.check_output

    def check(self, want, got, flags):
        first = got.partition("\n")[0] + "\n"
        return checker(self, want, got, flags) or (
            want.startswith("gym_CartPole") and checker(self, want, first, flags)
        )

    monkeypatch.setattr(doctest.OutputChecker, "check_output", check)
    failed, tried = doctest.testfile(
        str(ROOT / "docs" / "python.md"), module_relative=False,
        globs={"folder": tmp_path / "run"},
    )  # fmt: skip
    assert failed == 0 and tried > 15


@pytest.mark.slow
def test_the_example_runs(tmp_path):
    spec = importlib.util.spec_from_file_location("imagine", ROOT / "examples" / "imagine.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    sizes = {"rssm.deter": 16, r".*\.units$": 16, r".*\.mlp_units": 16, "run.train_fill": 20}
    sizes |= {"batch_length": 8, "imag_horizon": 3, "run.train_ratio": 16}
    path = example.main(
        tmp_path / "run", 40, **sizes, **{"run.eval_every": 0, "jax.platform": "cpu"}
    )
    assert path.read_bytes()[:4] == b"\x89PNG"
