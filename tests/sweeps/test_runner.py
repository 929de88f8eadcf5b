"""Plans, states and the local engine, with a program that only counts."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time
from pathlib import Path

from counting import PROGRAM, Sweep, make

from embodied.checkpoint.lock import Lock
from embodied.run.signals import StopFlag
from sweeps import Runner, States, progress
from sweeps.runner import Ended


def test_jobs_run_and_are_skipped_when_finished(tmp_path: Path) -> None:
    one, two = make(), make(method="b")
    sweep = Sweep(tmp_path, one, two)
    assert sweep.run() == 0
    assert sweep.states() == ["finished", "finished"]
    assert sweep.run() == 0
    assert sweep.visits(one) == sweep.visits(two) == ["- 3"]  # Once, and not again.
    assert "2 jobs, 2 of them finished" in sweep.said[-2]


def test_a_killed_job_resumes_and_a_failing_one_is_given_up(tmp_path: Path) -> None:
    killed, failing = make("--die", "2"), make("--fail", method="b")
    sweep = Sweep(tmp_path, killed, failing)
    assert sweep.run() == 1
    assert sweep.states() == ["finished", "failed"]
    state = States(tmp_path).read(failing)
    assert state.failures == 2 and state.reason == "failed with exit status 3"
    said = "\n".join(sweep.said)
    assert "was ended by SIGKILL; continues from step 1" in said
    assert "    something is wrong" in said  # The end of the log.
    assert said.count("---") == 2 and "1 of 2 jobs finished, 1 failed" in said
    # The same again: another two attempts for the one that failed, none for the other.
    assert sweep.run() == 1
    log = (tmp_path / "sweep" / "logs" / f"{failing.name}.log").read_text()
    assert log.count("something is wrong") == 4
    assert len(sweep.visits(killed)) == 1


def test_progress_between_failures_earns_new_attempts(tmp_path: Path) -> None:
    job = make(steps=9)
    runner = Runner(tmp_path, [job], None, retries=1, tell=lambda line: None)  # type: ignore[arg-type]
    store, outcomes = States(tmp_path), []
    for step in (1, 2, 2, 2):
        subprocess.run([sys.executable, PROGRAM, "--steps", str(step), "--logdir",
                        str(tmp_path / job.folder)], check=True)  # fmt: skip
        runner._judge(Ended(job, 1), stopping=False)
        outcomes.append((store.read(job).state, store.read(job).failures))
    assert outcomes == [("waiting", 1), ("waiting", 1), ("failed", 2), ("failed", 3)]


def test_a_request_to_stop_reaches_the_jobs_which_continue_later(tmp_path: Path) -> None:
    job, later = make("--nap", "0.1", steps=200), make(method="b")
    sweep, stop = Sweep(tmp_path, job, later), StopFlag()

    def ask() -> None:
        while progress.saved(job, tmp_path).step < 2:
            time.sleep(0.02)
        stop.name = "SIGTERM"

    thread = threading.Thread(target=ask)
    thread.start()
    assert sweep.run(stop=stop) == 0
    thread.join()
    assert sweep.states() == ["stopped", "waiting"]
    reached = progress.saved(job, tmp_path)
    assert 2 <= reached.step < 200 and not reached.done
    assert len(sweep.visits(job)) == 1  # It ended in order.
    short = dataclasses.replace(job, steps=reached.step + 2)
    short = dataclasses.replace(short, arguments=(PROGRAM, "--steps", str(short.steps)))
    again = Sweep(tmp_path, short, later)
    assert again.run() == 0 and again.states() == ["finished", "finished"]
    assert again.visits(short)[-1].endswith(f" {short.steps}")


def test_ctrl_c_ends_as_shells_have_it(tmp_path: Path) -> None:
    sweep, stop = Sweep(tmp_path, make()), StopFlag()
    stop.name = "SIGINT"
    assert sweep.run(stop=stop) == 130


def test_how_it_stands_is_told_now_and_then(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("sweeps.runner.EVERY", 0.0)
    sweep = Sweep(tmp_path, make("--nap", "0.2", steps=3))
    assert sweep.run() == 0
    assert any("1 running; " in line and "of all steps" in line for line in sweep.said)


def test_a_folder_in_use_is_left_for_later(tmp_path: Path) -> None:
    first, second = make(), make(method="b")
    (tmp_path / first.folder).mkdir(parents=True)
    lock = Lock(tmp_path / first.folder)
    threading.Timer(1.0, lock.release).start()
    sweep = Sweep(tmp_path, first, second)
    assert sweep.run() == 0
    ended = [line for line in sweep.said if line.startswith("finished")]
    assert ended == [f"finished: {second.name}", f"finished: {first.name}"]


def test_a_population_is_one_job(tmp_path: Path) -> None:
    job = make("--freeze", seeds=(4, 7))
    sweep = Sweep(tmp_path, job)
    assert sweep.run() == 0
    assert States(tmp_path).read(job).reason == "seed 4 frozen: not finite"
    assert any("seed 4 frozen" in line for line in sweep.said)
    assert [run.name for run in job.runs(tmp_path)] == ["seed-4", "seed-7"]
    # Without the commit at the top, what the seeds have written does not count.
    for path in (tmp_path / job.folder / "checkpoints").glob("*.json"):
        path.unlink()
    assert progress.saved(job, tmp_path).step == -1


def test_a_folder_that_cannot_be_used_fails_its_job_alone(tmp_path: Path) -> None:
    broken, good = make(), make(method="b")
    (tmp_path / broken.folder).parent.mkdir(parents=True)
    (tmp_path / broken.folder).write_text("a file")
    sweep = Sweep(tmp_path, broken, good)
    assert sweep.run() == 1
    assert sweep.states() == ["failed", "finished"]
