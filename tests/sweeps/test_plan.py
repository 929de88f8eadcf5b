"""What a sweep consists of, and its file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from counting import PROGRAM, make

from embodied.core.errors import UserError
from sweeps import Plan, plan


def test_plans_grow_and_refuse_what_does_not_fit(tmp_path: Path) -> None:
    one, two = make(), make(method="b")
    Plan(("--configs", "debug"), (one,)).save(tmp_path)
    assert plan.load(tmp_path) == Plan(("--configs", "debug"), (one,))
    grown = Plan(("--configs", "debug"), (two,)).joined(plan.load(tmp_path))
    assert grown.jobs == (two, one)
    with pytest.raises(UserError, match="other settings"):
        Plan(("--configs", "atari100k"), (two,)).joined(grown)
    few, many = make(seeds=(0, 1)), make(seeds=(0, 1, 2))
    with pytest.raises(UserError, match="no seed can join"):
        Plan((), (many,)).joined(Plan((), (few,)))
    assert plan.load(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1}', '{"format": 1, "jobs": [{}]}'])
def test_a_damaged_plan_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "plan.json").write_text(text)
    with pytest.raises(UserError, match=r"plan\.json cannot be read"):
        plan.load(tmp_path)
    (tmp_path / "sweep" / "plan.json").write_text('{"format": 9}')
    with pytest.raises(UserError, match="has format 9"):
        plan.load(tmp_path)


def test_commands_are_whole(tmp_path: Path) -> None:
    job = dataclasses.replace(make(), task="gym_ALE/Pong-v5")
    assert job.folder == "a/gym_ALE-Pong-v5/seed-0" and job.name == "a.gym_ALE-Pong-v5.seed-0"
    command = job.command(tmp_path, ["python"])
    assert command[:2] == ["python", PROGRAM] and command[-1] == str(tmp_path / job.folder)
    assert json.loads(json.dumps(dataclasses.asdict(job)))["seeds"] == [0]
