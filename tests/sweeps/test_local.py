"""The engine of one machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from counting import Sweep, make

from embodied.core.errors import UserError
from sweeps import Job, States
from sweeps.local import LocalEngine, find_devices


def test_one_job_for_each_device_or_as_many_as_share_it(tmp_path: Path) -> None:
    jobs = [make("--nap", "0.2", method=name) for name in "abcd"]
    sweep = Sweep(tmp_path, *jobs)
    assert sweep.run(("3", "5")) == 0
    used = sorted(visit.split()[0] for job in jobs for visit in sweep.visits(job))
    assert set(used) == {"3", "5"}
    wide = [make(method="wide", devices=2)]
    assert Sweep(tmp_path, *wide).run(("3", "5")) == 0
    assert Sweep(tmp_path, *wide).visits(wide[0]) == ["3,5 3"]
    with pytest.raises(UserError, match="a job needs 2 devices, there are 1"):
        Sweep(tmp_path, *wide).run(("3",))
    engine = LocalEngine(tmp_path, ["0"], share=2)
    engine.start(make("--nap", "5", method="e"))
    assert engine.free()
    engine.start(make("--nap", "5", method="f"))
    assert not engine.free()
    engine.close()


def test_a_job_that_cannot_be_started_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = make(), make(method="b")
    start = LocalEngine.start

    def refuse(self: LocalEngine, job: Job) -> None:
        if job is bad:
            raise UserError("no log")
        start(self, job)

    monkeypatch.setattr(LocalEngine, "start", refuse)
    sweep = Sweep(tmp_path, bad, good)
    assert sweep.run() == 1
    assert sweep.states() == ["failed", "finished"]
    assert States(tmp_path).read(bad).reason == "could not be started: no log"


def test_devices_are_those_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 4")
    assert find_devices() == ["2", "4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert find_devices() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin:/bin")
    assert find_devices() == ["0", "1"]
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert find_devices() == []
