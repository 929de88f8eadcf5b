"""The verb `sweep`: plans from command lines, and status."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from embodied.checkpoint.lock import Lock
from embodied.core.errors import UserError
from harmony_dreamerv3 import main as command
from sweeps import JobState, States, plan

LINE = ["sweep", "--configs", "debug", "--tasks", "dummy_disc", "--methods", "dreamerv3", "harmony",
        "--seeds", "0", "1"]  # fmt: skip


def run(*argv: object) -> int:
    return command.main([str(word) for word in argv])


def test_dry_run_lists_the_jobs_and_writes_nothing(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    line = ["sweep", "--configs", "atari100k", "--tasks", "atari100k", "--methods", "dreamerv3",
            "harmony", "--seeds", *range(5)]  # fmt: skip
    assert run(*line, "--logdir", tmp_path / "new", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert shown.count("waiting") == 26 * 2 * 5 + 1
    assert "260 waiting; 0.0% of all steps" in shown and "0/100,000" in shown
    assert not (tmp_path / "new").exists()
    assert run(*line, "--logdir", tmp_path, "--dry-run", "--population") == 0
    shown = capsys.readouterr().out
    assert "52 waiting" in shown and "0,1,2,3,4" in shown


def test_commands_are_printed_and_the_plan_is_kept(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert run(*LINE, "--run.steps", "50", "--logdir", tmp_path, "--print-commands") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "python -m harmony_dreamerv3 train --configs debug dreamerv3 --task dummy_disc --label "
        f"dreamerv3 --seed 0 --run.steps 50 --logdir {tmp_path}/dreamerv3/dummy_disc/seed-0"
    )
    assert len(lines) == 4 and lines[1].endswith("harmony/dummy_disc/seed-0")
    kept = plan.load(tmp_path)
    assert kept is not None and {job.steps for job in kept.jobs} == {50}
    assert run("sweep", "--logdir", tmp_path, "--print-commands") == 0  # The plan alone.
    assert capsys.readouterr().out.splitlines() == lines
    assert run(*LINE, "--logdir", tmp_path, "--dry-run") == 2
    assert "other settings" in capsys.readouterr().err
    assert run("sweep", "--status", tmp_path) == 0
    assert "4 waiting" in capsys.readouterr().out


def test_jobs_take_the_devices_of_their_configuration(tmp_path: Path) -> None:
    extra = ["--jax.population_devices", "2", "--jax.data_devices", "2", "--population"]
    assert run(*LINE, *extra, "--logdir", tmp_path, "--print-commands") == 0
    kept = plan.load(tmp_path)
    assert kept is not None and [job.devices for job in kept.jobs] == [4, 4]
    assert [job.seeds for job in kept.jobs] == [(0, 1), (0, 1)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--tasks", "atari_pnog"), "'atari_pnog'; did you mean 'atari_pong'"),
        (("--tasks", "atari100"), "'atari100'; did you mean 'atari100k'"),
        (("--methods", "harmny"), "did you mean 'harmony'"),
        (("--methods", "sweep"), "cannot be named 'sweep'"),
        (("--seeds", "1", "1"), "comes twice"),
        (("--seeds", "-1"), "0 or more"),
        (("--run.stepz", "3"), "did you mean 'run.steps'"),
        (("--seed", "3"), "sweep sets --seed for each job"),
        (("--task", "atari_pong"), "sweep sets --task"),
        (("--retries", "-1"), "--retries must be at least 0"),
        (("--engine", "slurm"), "invalid choice"),
    ],
)
def test_mistakes_are_named(change: tuple[str, ...], message: str, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert run(*LINE, *change, "--logdir", tmp_path, "--dry-run") == 2
    assert message in capsys.readouterr().err


def test_what_is_missing_is_named(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    for argv, message in (
        (["sweep"], "expected --logdir"),
        (["sweep", "--logdir", tmp_path], "holds no sweep to continue"),
        (["sweep", "--logdir", tmp_path, "--tasks", "dummy_disc"], "expected --methods"),
        (["sweep", "--status", tmp_path], "holds no sweep"),
        (["sweep", "--status", tmp_path, "--interval", 0], "--interval must be above 0"),
    ):
        assert run(*argv) == 2
        assert message in capsys.readouterr().err


def test_a_sweep_in_progress_keeps_its_plan(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert run(*LINE, "--logdir", tmp_path, "--print-commands") == 0
    kept = (tmp_path / "sweep" / "plan.json").read_text()
    lock = Lock(tmp_path / "sweep")
    assert run(*LINE, "--seeds", 7, "--logdir", tmp_path, "--print-commands") == 2
    lock.release()
    assert "in use" in capsys.readouterr().err
    assert (tmp_path / "sweep" / "plan.json").read_text() == kept


def test_ray_is_asked_for_when_it_is_missing(tmp_path: Path, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(*LINE, "--logdir", tmp_path, "--engine", "ray") == 2
    assert "pip install 'harmony-dreamerv3[ray]'" in capsys.readouterr().err


def test_storage_goes_with_the_plan(tmp_path: Path, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from embodied.checkpoint.storage import Storage
    from sweeps import cluster

    url, here = f"file://{tmp_path}/there", tmp_path / "here"
    given = []

    class Engine:
        def __init__(self, *args: object) -> None:
            given.append(args[-1].url)  # type: ignore[attr-defined]
            raise UserError("enough seen")

    monkeypatch.setattr(cluster, "RayEngine", Engine)
    ray = ["--engine", "ray"]
    assert run(*LINE, "--logdir", here, "--storage", url) == 2
    assert "this needs --engine ray" in capsys.readouterr().err
    assert run(*LINE, "--logdir", here, "--storage", "s3:/bucket", *ray) == 2
    assert "expected a URL such as s3://bucket/folder" in capsys.readouterr().err
    assert not here.exists()
    assert run(*LINE, "--logdir", here, "--storage", f"{url}/", *ray) == 2
    assert "enough seen" in capsys.readouterr().err and given == [url]
    assert list(Storage(url).paths()) == ["sweep/plan.json"]
    kept = plan.load(here)
    assert kept is not None and kept.storage == url and len(kept.jobs) == 4
    assert run("sweep", "--logdir", here, *ray) == 2 and given == [url, url]  # The plan tells.
    assert run("sweep", "--logdir", here) == 2
    capsys.readouterr()
    assert run("sweep", "--logdir", here, "--storage", f"{url}2", *ray) == 2
    assert f"a sweep with the storage {url}, not {url}2" in capsys.readouterr().err
    assert run("sweep", "--status", tmp_path / "new", "--storage", url) == 0  # On another machine.
    assert "4 waiting" in capsys.readouterr().out
    assert run("sweep", "--status", tmp_path / "none", "--storage", f"{url}2") == 2
    assert "holds no sweep" in capsys.readouterr().err


def test_status_reads_the_run_folders(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    tasks = ["--tasks", "atari_pong", "atari_boxing"]
    assert run(*LINE, *tasks, "--run.steps", "100", "--logdir", tmp_path, "--print-commands") == 0
    kept = plan.load(tmp_path)
    assert kept is not None
    for job in kept.jobs:
        folder = job.runs(tmp_path)[0]
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(f"task: {job.task}\nmethod: {job.method}\nseed: 0\n")
        score = {"mode": "eval", "step": 100, "frame": 400, "return": 7.0, "eval/return": 7.0}
        for name in ("episodes.jsonl", "metrics.jsonl"):
            (folder / name).write_text(json.dumps(score) + "\n")
        time = {"step": 60, "steps_per_second": 2.0, "updates_per_second": 1.5,
                "seconds/total": 30.0, "time": 1.0}  # fmt: skip
        (folder / "timing.jsonl").write_text(json.dumps(time) + '\n{"half')
        States(tmp_path).write(job, JobState("running"))
    capsys.readouterr()
    assert run("sweep", "--status", tmp_path) == 0
    shown = capsys.readouterr().out
    line = next(line for line in shown.splitlines() if line.startswith("dreamerv3  atari_pong"))
    assert line.split()[:7] == ["dreamerv3", "atari_pong", "0", "running", "60/100", "60%", "1.5"]
    assert line.split()[7:] == ["0m", "20s", "7.0"]
    assert "8 running; 60.0% of all steps, 12.0 updates/s, ETA 0m 20s" in shown
    assert "dreamerv3: mean " in shown and "(2 games, 4 runs)" in shown


def test_files_of_blocks_and_the_time_in_a_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("mine: {base: dreamerv3, rssm: {deter: 8}}")
    line = ["sweep", "--configs", "debug", "mine.yaml", "mine", "--tasks", "dummy_disc"]
    line += ["--methods", "harmony", "--seeds", "0", "--logdir", "at-{timestamp}"]
    assert run(*line, "--print-commands") == 0
    shown = capsys.readouterr().out
    assert f"--configs debug {tmp_path}/mine.yaml mine harmony" in shown  # From any folder.
    assert "{timestamp}" not in shown and len(list(tmp_path.glob("at-2*T*/sweep"))) == 1


def test_a_label_of_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [*LINE, "--balance.method", "dwa", "--logdir", tmp_path, "--dry-run"]
    assert run(*line) == 2
    assert "label 'dreamerv3' is the name of another method" in capsys.readouterr().err
