"""Environments in processes: faults are survived and named, nothing is left behind."""

import functools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import faulty_env
import numpy as np
import pytest

import embodied.envs
from embodied.core.errors import UserError
from embodied.stepping.parallel import ProcessEnv

ACTION = np.array([1, 0, 0, 0], np.float32)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise", "the sky is falling"),
        ("eof", "of our own file"),
        ("exit", "exit code 7"),
        ("hang", "exit code 1"),
    ],
)
def test_a_fault_starts_a_new_episode_with_a_warning(fault, words):
    env = ProcessEnv(functools.partial(faulty_env.make, fault, 3), "dummy_faulty", timeout=0.5)
    assert env.step(ACTION)["is_first"]
    for _ in range(2):
        assert not env.step(ACTION)["is_first"]
        assert not env.restarted
    with pytest.warns(RuntimeWarning, match=rf"(?s)dummy_faulty: restart number 1.*{words}"):
        obs = env.step(ACTION)
    assert obs["is_first"] and obs["reward"] == 0
    assert env.restarted and env.restarts == 1
    for _ in range(5):
        assert not env.step(ACTION)["is_first"]
        assert not env.restarted
    env.close()


def test_a_stopped_process_is_killed_by_the_parent(monkeypatch):
    monkeypatch.setattr("embodied.stepping.parallel._GRACE", 0.2)
    env = ProcessEnv(functools.partial(faulty_env.make, None, 0), "dummy_faulty", timeout=0.3)
    env.step(ACTION)
    pid = env._process.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.warns(RuntimeWarning, match="hung for more than 0.3 seconds"):
        assert env.step(ACTION)["is_first"]
    assert not _alive(pid)
    env.close()


def test_killed_between_steps():
    env = ProcessEnv(functools.partial(faulty_env.make, None, 0), "dummy_faulty")
    env.step(ACTION)
    os.kill(env._process.pid, signal.SIGKILL)
    with pytest.warns(RuntimeWarning, match="SIGKILL"):
        assert env.save() is None
    assert env.restarted
    assert env.step(ACTION)["is_first"]
    env.close()


@pytest.mark.parametrize(
    ("fault", "words"), [("nan", r"'vector'.*nan at \(2,\)"), ("shape", r"\(3,\)")]
)
def test_garbage_stops_with_the_key(fault, words):
    env = ProcessEnv(functools.partial(faulty_env.make, fault, 1), "dummy_faulty")
    env.step(ACTION)
    with pytest.raises(UserError, match=rf"dummy_faulty: .*{words}"):
        env.step(ACTION)
    assert env.restarts == 0
    env.close()


def test_gives_up_after_the_limit():
    env = ProcessEnv(
        functools.partial(faulty_env.make, "raise", 0, always=True), "dummy_faulty", limit=1
    )
    with (
        pytest.warns(RuntimeWarning, match="restart number 1"),
        pytest.raises(
            UserError, match=r"(?s)failed 2 times.*the sky is falling.*faulty_env.py, line"
        ),
    ):
        env.step(ACTION)
    env.close()


def test_an_environment_that_cannot_be_made():
    with pytest.raises(UserError, match=r"(?s)dummy_faulty.*cannot be made"):
        ProcessEnv(functools.partial(faulty_env.make, "ctor", 0), "dummy_faulty")
    with pytest.raises(UserError, match="did you mean 'imag"):
        embodied.envs.make_process("dummy_disc", 0, {"imaeg": True})


def test_equals_the_environment_in_this_process():
    here, there = (make("dummy_disc", 3) for make in _makers())
    assert there.obs_space == here.obs_space and there.act_space == here.act_space
    rng = np.random.default_rng(0)
    state = None
    for step in range(60):
        action = here.act_space["action"].sample(rng)
        ours, theirs = here.step(action), there.step(action)
        assert ours.keys() == theirs.keys()
        for key in ours:
            np.testing.assert_array_equal(ours[key], theirs[key], err_msg=f"{key} at {step}")
        if step == 30:
            state = there.save()
    assert state is not None
    there.load(state)
    here.load(state)
    np.testing.assert_array_equal(here.step(ACTION)["image"], there.step(ACTION)["image"])
    there.close()
    there.close()


def _makers():
    return embodied.envs.make, embodied.envs.make_process


def test_signals_to_the_group_leave_the_worker_alone():
    env = embodied.envs.make_process("dummy_disc", 0)
    assert os.getsid(env._process.pid) == env._process.pid
    env.close()


def test_a_restart_does_not_repeat_the_same_episodes():
    env = embodied.envs.make_process("dummy_disc", 0)
    first = env.step(ACTION)
    os.kill(env._process.pid, signal.SIGKILL)
    with pytest.warns(RuntimeWarning, match="restart number 1"):
        again = env.step(ACTION)
    assert (first["image"] != again["image"]).any()
    env.close()


@pytest.fixture
def interruptible():
    """Obeys SIGINT, and so do processes from here, where a job in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupted_step_does_not_answer_the_next_question(interruptible):
    env = ProcessEnv(functools.partial(faulty_env.make, "hang", 1), "dummy_faulty", timeout=5.0)
    env.step(ACTION)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        env.step(ACTION)
    with pytest.warns(RuntimeWarning, match="its process is closed"):
        assert env.save() is None
    assert env.step(ACTION)["is_first"]
    env.close()


@pytest.mark.parametrize("end", ["exit", "kill", "interrupt"])
def test_no_process_outlives_the_parent(tmp_path, interruptible, end):
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            """
            import time
            import numpy as np
            import embodied.envs

            if __name__ == "__main__":
                env = embodied.envs.make_process("dummy_disc", 0, {"image": False})
                env.step(None)
                print(env._process.pid, flush=True)
                if input() == "wait":
                    time.sleep(100)
            """
        )
    )
    parent = subprocess.Popen(
        [sys.executable, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])},
    )
    worker = int(parent.stdout.readline())
    assert _alive(worker)
    parent.stdin.write("go\n" if end == "exit" else "wait\n")
    parent.stdin.flush()
    if end != "exit":
        time.sleep(0.1)
        parent.send_signal(signal.SIGKILL if end == "kill" else signal.SIGINT)
    parent.communicate(timeout=20)
    deadline = time.monotonic() + 10
    while _alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(worker)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split()[2] != "Z"
    except FileNotFoundError:
        return False
