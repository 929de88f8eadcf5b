"""Plans, states and the local engine, with a program that only counts."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from embodied.checkpoint.lock import Lock
from embodied.core.errors import UserError
from embodied.run.signals import StopFlag
from sweeps import Job, JobState, Plan, Runner, States, plan, progress
from sweeps.local import LocalEngine, find_devices
from sweeps.runner import Ended

PROGRAM = str(Path(__file__).with_name("sweep_program.py"))


def make(
    *options: str,
    method: str = "a",
    seeds: tuple[int, ...] = (0,),
    steps: int = 3,
    devices: int = 1,
) -> Job:
    population = len(seeds) > 1
    listed = ("--seeds", *map(str, seeds)) if population else ()
    arguments = (PROGRAM, "--steps", str(steps), *listed, *options)
    return Job(method, "dummy_disc", seeds, population, arguments, steps, devices)


class Sweep:
    """Runs jobs and remembers what was said."""

    def __init__(self, root: Path, *jobs: Job) -> None:
        self.root, self.jobs, self.said = root, jobs, []

    def run(
        self, devices: tuple[str, ...] = (), share: int = 1, stop: StopFlag | None = None
    ) -> int:
        engine = LocalEngine(self.root, devices, share, max(job.devices for job in self.jobs))
        runner = Runner(self.root, self.jobs, engine, retries=1, wait=0.02, tell=self.said.append)
        try:
            return runner.run(StopFlag() if stop is None else stop)
        finally:
            engine.close()

    def states(self) -> list[str]:
        return [States(self.root).read(job).state for job in self.jobs]

    def visits(self, job: Job) -> list[str]:
        return (self.root / job.folder / "visits").read_text().splitlines()


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


def test_the_death_of_the_sweep_lets_its_jobs_save(tmp_path: Path) -> None:
    job = make("--nap", "0.05", steps=10_000)
    code = (
        f"import sys, time; sys.path.insert(0, {str(Path(PROGRAM).parents[3])!r})\n"
        "from pathlib import Path\n"
        "from sweeps import Job, launch\n"
        f"launch.start(Path({str(tmp_path)!r}), Job(*{dataclasses.astuple(job)!r}), {{}})\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        _wait(lambda: progress.saved(job, tmp_path).step >= 1)
        parent.kill()
    _wait(lambda: (tmp_path / job.folder / "visits").exists())


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


def test_a_population_goes_on_when_its_first_seed_is_frozen(tmp_path: Path) -> None:
    job = make(seeds=(4, 7), steps=400)
    for run, step in zip(job.runs(tmp_path), (40, 300)):
        run.mkdir(parents=True)
        line = {"time": 1.0, "step": step, "steps_per_second": 2.0, "seconds/total": 5.0}
        (run / "timing.jsonl").write_text(json.dumps(line) + "\n")
    assert progress.measure(job, tmp_path).step == 300


def test_a_folder_that_cannot_be_used_fails_its_job_alone(tmp_path: Path) -> None:
    broken, good = make(), make(method="b")
    (tmp_path / broken.folder).parent.mkdir(parents=True)
    (tmp_path / broken.folder).write_text("a file")
    sweep = Sweep(tmp_path, broken, good)
    assert sweep.run() == 1
    assert sweep.states() == ["failed", "finished"]


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


def test_a_damaged_state_counts_as_none(tmp_path: Path) -> None:
    job = make()
    store = States(tmp_path)
    store.write(job, JobState("failed", failures=3))
    assert store.read(job).failures == 3
    for text in ("{", "[]", '{"state": null}', '{"state": "weird"}', '{"failures": "3"}'):
        (tmp_path / "sweep" / "jobs" / f"{job.name}.json").write_text(text)
        assert store.read(job) == JobState()


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


def test_commands_are_whole(tmp_path: Path) -> None:
    job = dataclasses.replace(make(), task="gym_ALE/Pong-v5")
    assert job.folder == "a/gym_ALE-Pong-v5/seed-0" and job.name == "a.gym_ALE-Pong-v5.seed-0"
    command = job.command(tmp_path, ["python"])
    assert command[:2] == ["python", PROGRAM] and command[-1] == str(tmp_path / job.folder)
    assert json.loads(json.dumps(dataclasses.asdict(job)))["seeds"] == [0]


def _wait(condition, seconds: float = 120.0) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def test_the_guard_refuses_to_start_for_a_dead_parent() -> None:
    from sweeps import guard

    done = subprocess.run([sys.executable, guard.__file__, "1", "/bin/true"], check=False)
    assert done.returncode == 128 + signal.SIGTERM
