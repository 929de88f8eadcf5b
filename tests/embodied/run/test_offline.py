"""Training on another run's replay: nothing is stepped, all of it resumes exactly."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from fake_learner import FakeLearner
from fingerprints import fingerprint
from small import lines, make_env, make_learner, train

from embodied.core.env import Env
from embodied.core.errors import UserError
from embodied.run.offline import total_updates


class Still:
    """An environment that may be reset, and no more."""

    def __init__(self, env: Env) -> None:
        self._env, self._begun = env, False

    def step(self, action: Any) -> Any:
        assert not self._begun, "an offline run steps no environment"
        self._begun = True
        return self._env.step(action)

    def __getattr__(self, key: str) -> Any:
        return getattr(self._env, key)


class Fragile(FakeLearner):
    left = 50

    def train(self, batches: list[Any]) -> Any:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return super().train(batches)


def offline(folder: Path, source: Path, **settings: Any) -> dict[str, Any]:
    still = {"env": lambda *place: Still(make_env(*place)), **settings}
    return train(folder, offline=str(source), **still)


@pytest.mark.parametrize("settings", [{}, {"replay_context": 1}, {"replay_episodes": True}])
def test_a_stopped_run_ends_as_the_undisturbed_one(
    tmp_path: Path, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    source, a, b = tmp_path / "source", tmp_path / "a", tmp_path / "b"
    train(source, **settings)
    capsys.readouterr()
    summary = offline(a, source / "replay", **settings)
    out = capsys.readouterr().out
    # Updates begin at once: 8 / (2 x 4) = 1 for each of 118 steps before the last.
    assert summary["finished"] and summary["updates"] == 118
    assert f"offline: 120 steps of {source}, 118 updates" in out
    assert "update 18/118 (15%)\n" in out and "updates/s  ETA" in out and "steps/s" not in out
    assert {line["mode"] for line in lines(a / "episodes.jsonl")} == {"eval"}
    with pytest.raises(KeyboardInterrupt):
        offline(
            b,
            source,
            learner=make_learner(cls=Fragile, latents=bool(settings.get("replay_context"))),
            **settings,
        )
    shutil.rmtree(source)  # What was copied is all that a run needs.
    offline(b, source, **settings)
    assert fingerprint(a) == fingerprint(b)


def test_a_replay_that_was_written_over_is_copied_from_its_oldest_step(tmp_path: Path) -> None:
    train(tmp_path / "source", replay_size=40)
    offline(tmp_path / "run", tmp_path / "source", replay_size=10)
    sizes = [
        line["replay/size"]
        for line in lines(tmp_path / "run" / "metrics.jsonl")
        if "replay/size" in line
    ]
    assert set(sizes) == {40}


def test_members_share_what_was_recorded(tmp_path: Path) -> None:
    train(tmp_path / "source")
    summary = offline(tmp_path / "run", tmp_path / "source", seeds=(0, 1))
    assert [member["frozen"] for member in summary["members"]] == [None, None]


def test_a_loss_that_is_not_finite_stops_it(tmp_path: Path) -> None:
    train(tmp_path / "source")
    with pytest.raises(UserError, match=r"seed 3 is no longer finite after update 2\d"):
        offline(tmp_path / "run", tmp_path / "source", learner=make_learner(fail_at={0: 20}))


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none is no run folder with a checkpoint"):
        offline(tmp_path / "run", tmp_path / "none")
    assert not (tmp_path / "run").exists()
    train(tmp_path / "source")
    with pytest.raises(UserError, match=r"in 2 environments .* give --run\.envs 2"):
        offline(tmp_path / "run", tmp_path / "source", envs=1)
    with pytest.raises(UserError, match=r"does not fit this task and base: .*expected arrays"):
        offline(tmp_path / "run2", tmp_path / "source", replay_context=1)
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    with pytest.raises(UserError, match="there is no checkpoint in"):
        offline(tmp_path / "run3", tmp_path / "empty")


def test_an_online_run_is_told_in_steps() -> None:
    from embodied.run import RunConfig
    from embodied.run.setup import Setup

    setup: Any = Setup(None, None, None, [], Path(), [], RunConfig(), 16, 64)  # type: ignore[arg-type]
    assert total_updates(setup) == 0
