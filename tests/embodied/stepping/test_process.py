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
from embodied.stepping.driver import Driver
from embodied.stepping.groups import Local
from embodied.stepping.process import ProcessGroup

ACTION = np.array([1, 0, 0, 0], np.float32)


def step(group, action=ACTION):
    """Steps the only environment of a group."""
    return {key: value[0] for key, value in group.step([0], [action]).items()}


def make(seed, restarts):
    options = {"size": 8, "length": 5, "death": 0.0}
    return embodied.envs.make("dummy_disc", seed + 100 * restarts, options)


def dummy(seed=0):
    return ProcessGroup([functools.partial(make, seed)], "dummy_disc")


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
    env = ProcessGroup([functools.partial(faulty_env.make, fault, 3)], "dummy_faulty", timeout=0.5)
    assert step(env)["is_first"]
    for _ in range(2):
        assert not step(env)["is_first"]
    with pytest.warns(RuntimeWarning, match=rf"(?s)dummy_faulty: restart number 1.*{words}"):
        obs = step(env)
    assert obs["is_first"] and obs["reward"] == 0
    assert env.restarts == 1
    for _ in range(5):
        assert not step(env)["is_first"]
    env.close()


def test_a_stopped_process_is_killed_by_the_parent(monkeypatch):
    monkeypatch.setattr("embodied.stepping.process._GRACE", 0.2)
    env = ProcessGroup([functools.partial(faulty_env.make, None, 0)], "dummy_faulty", timeout=0.3)
    step(env)
    pid = env._process.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.warns(RuntimeWarning, match="hung for more than 0.3 seconds"):
        assert step(env)["is_first"]
    assert not _alive(pid)
    env.close()


def test_killed_between_steps():
    env = ProcessGroup([functools.partial(faulty_env.make, None, 0)], "dummy_faulty")
    step(env)
    os.kill(env._process.pid, signal.SIGKILL)
    with pytest.warns(RuntimeWarning, match="SIGKILL"):
        assert env.save() == [None]
    assert step(env)["is_first"]
    env.close()


@pytest.mark.parametrize(
    ("fault", "words"), [("nan", r"'vector'.*nan at \(2,\)"), ("shape", r"\(3,\)")]
)
def test_garbage_stops_with_the_key(fault, words):
    env = ProcessGroup([functools.partial(faulty_env.make, fault, 1)], "dummy_faulty")
    step(env)
    with pytest.raises(UserError, match=rf"dummy_faulty: .*{words}"):
        step(env)
    assert env.restarts == 0
    env.close()


def test_gives_up_after_the_limit():
    env = ProcessGroup(
        [functools.partial(faulty_env.make, "raise", 0, always=True)], "dummy_faulty", limit=1
    )
    with (
        pytest.warns(RuntimeWarning, match="restart number 1"),
        pytest.raises(
            UserError, match=r"(?s)failed 2 times.*the sky is falling.*faulty_env.py, line"
        ),
    ):
        step(env)
    env.close()


@pytest.mark.parametrize("fault", ["ctor", "usage", "sys.exit"])
def test_a_constructor_that_fails_for_a_while_is_asked_again(fault, monkeypatch):
    """A simulator that crashed needs some time to come back."""
    pauses = []
    monkeypatch.setattr(ProcessGroup, "_wait", lambda self, pause: pauses.append(pause))
    make = functools.partial(faulty_env.make_while_down, fault, 4)
    env = ProcessGroup([make], "dummy_faulty")
    step(env)
    os.kill(env._process.pid, signal.SIGKILL)
    with pytest.warns(RuntimeWarning) as caught:
        assert step(env)["is_first"]
    assert "restart number 4 of the environment in 4 seconds" in str(caught[-1].message)
    assert "no simulator on port 2000" in str(caught[-1].message)
    assert env.restarts == 4 and pauses == [0, 1, 2, 4]
    env.close()


def test_a_constructor_that_fails_for_ever_is_given_up(monkeypatch):
    pauses = []
    monkeypatch.setattr(ProcessGroup, "_wait", lambda self, pause: pauses.append(pause))
    env = ProcessGroup([functools.partial(faulty_env.make_while_down, "usage", 99)], "dummy_faulty")
    step(env)
    os.kill(env._process.pid, signal.SIGKILL)
    with (
        pytest.warns(RuntimeWarning),
        pytest.raises(UserError, match=r"failed 11 times .* no simulator on port 2000"),
    ):
        step(env)
    assert sum(pauses) > 100 and sorted(pauses) == pauses


def test_a_stop_ends_the_pause_and_the_step_in_order():
    stop = threading.Event()
    make = functools.partial(faulty_env.make_while_down, "usage", 99)
    group = ProcessGroup([make], "dummy_faulty", stop=stop.is_set)
    driver = Driver([[group, Local([functools.partial(faulty_env.make, None, 0, 0)])]], threads=2)
    actions, active = np.eye(4, dtype=np.float32)[[[0, 0]]], np.ones((1, 2), bool)
    driver.step(actions, active)
    before = driver.step(actions, active) and driver.obs
    os.kill(group._process.pid, signal.SIGKILL)
    begin = time.monotonic()
    threading.Timer(1.0, stop.set).start()
    with pytest.warns(RuntimeWarning, match="restart number"):
        stepped = driver.step(actions, active)
    assert time.monotonic() - begin < 30  # All pauses are 151 seconds.
    assert not stepped.errors and not stepped.episodes and list(stepped.stopped) == [0]
    np.testing.assert_array_equal(stepped.cut, [[True, False]])
    # What was seen last is an episode of its own: nothing is learned from its end or its reward.
    np.testing.assert_array_equal(driver.obs["vector"][0, 0], before["vector"][0, 0])
    ends = {key: driver.obs[key][0].tolist() for key in ("is_first", "is_last", "is_terminal")}
    assert ends == {
        "is_first": [True, False], "is_last": [True, False], "is_terminal": [False, False]
    }  # fmt: skip
    assert driver.obs["reward"][0, 0] == 0
    _, states, _ = driver.save(0)
    assert states[0] is None and states[1] is not None
    assert driver.reset(active)[0] is not None  # A run does not begin so.
    driver.close()


def test_a_restart_is_told_in_a_line_of_its_own(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            """
            import functools, faulty_env
            from embodied.core.errors import show_notices
            from embodied.stepping.process import ProcessGroup

            if __name__ == "__main__":
                show_notices()
                make = functools.partial(faulty_env.make, "raise", 0)
                group = ProcessGroup([make], "dummy_faulty")
                group.step([0], [None])
                group.close()
            """
        )
    )
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])},
    )
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: dummy_faulty: restart number 1 of the environment, its epis")
    assert "step() raised ValueError: the sky is falling" in line


def test_an_environment_that_cannot_be_made():
    with pytest.raises(UserError, match=r"(?s)dummy_faulty.*cannot be made"):
        ProcessGroup([functools.partial(faulty_env.make, "ctor", 0)], "dummy_faulty")
    with pytest.raises(UserError, match="did you mean 'dummy_disc"):
        ProcessGroup([functools.partial(misspelt)], "dummy_dics")


def misspelt(restarts):
    return embodied.envs.make("dummy_dics", 0)


def test_equals_the_environment_in_this_process():
    here, there = make(3, 0), dummy(3)
    assert there.obs_space == here.obs_space and there.act_space == here.act_space
    rng = np.random.default_rng(0)
    state = None
    for number in range(60):
        action = here.act_space["action"].sample(rng)
        ours, theirs = here.step(action), step(there, action)
        assert ours.keys() == theirs.keys()
        for key in ours:
            np.testing.assert_array_equal(ours[key], theirs[key], err_msg=f"{key} at {number}")
        if number == 30:
            (state,) = there.save()
    assert state is not None
    there.load(0, state)
    here.load(state)
    np.testing.assert_array_equal(here.step(ACTION)["image"], step(there)["image"])
    there.close()
    there.close()


def test_signals_to_the_group_leave_the_worker_alone():
    env = dummy()
    assert os.getsid(env._process.pid) == env._process.pid
    env.close()


def test_a_restart_does_not_repeat_the_same_episodes():
    env = dummy()
    first = step(env)
    os.kill(env._process.pid, signal.SIGKILL)
    with pytest.warns(RuntimeWarning, match="restart number 1"):
        again = step(env)
    assert (first["image"] != again["image"]).any()
    env.close()


@pytest.fixture
def interruptible():
    """Obeys SIGINT, and so do processes from here, where a job in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupted_step_does_not_answer_the_next_question(interruptible):
    env = ProcessGroup([functools.partial(faulty_env.make, "hang", 1)], "dummy_faulty", timeout=5.0)
    step(env)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        step(env)
    with pytest.warns(RuntimeWarning, match="its process is closed"):
        assert env.save() == [None]
    assert step(env)["is_first"]
    env.close()


@pytest.mark.parametrize("end", ["exit", "kill", "interrupt"])
def test_no_process_outlives_the_parent(tmp_path, interruptible, end):
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            """
            import time
            import functools
            import faulty_env
            from embodied.stepping.process import ProcessGroup

            if __name__ == "__main__":
                make = functools.partial(faulty_env.make, None, 0)
                env = ProcessGroup([make], "dummy_faulty")
                env.step([0], [None])
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


def several(*seeds):
    return ProcessGroup([functools.partial(make, seed) for seed in seeds], "worker 0")


def test_rows_equal_environments_of_this_process():
    there = Driver([[several(0, 1), several(2)]], threads=2)
    here = Driver([[Local([functools.partial(make, seed, 0) for seed in range(3)])]])
    rng = np.random.default_rng(0)
    ended = 0
    for _ in range(60):
        actions = np.stack([[here.act_space.sample(rng) for _ in range(3)]])
        active = rng.random((1, 3)) < 0.7
        found, wanted = there.step(actions, active), here.step(actions, active)
        assert found.episodes == wanted.episodes and not found.errors and not found.cut.any()
        ended += len(found.episodes)
        for key, value in here.obs.items():
            np.testing.assert_array_equal(there.obs[key], value, err_msg=key)
    assert ended > 5
    there.close()


def test_a_process_that_dies_cuts_the_episodes_of_its_rows_only():
    first, second = several(0, 1), several(2)
    driver = Driver([[first, second]], threads=2)
    active, actions = np.ones((1, 3), bool), np.zeros((1, 3, 4), np.float32)
    actions[..., 0] = 1
    for _ in range(2):
        assert not driver.step(actions, active).cut.any()
    os.kill(first._process.pid, signal.SIGKILL)
    with pytest.warns(RuntimeWarning, match=r"worker 0: restart number 1.*SIGKILL"):
        stepped = driver.step(actions, active)
    assert not stepped.episodes and not stepped.errors
    np.testing.assert_array_equal(stepped.cut, [[True, True, False]])
    np.testing.assert_array_equal(driver.obs["is_first"], [[True, True, False]])
    np.testing.assert_array_equal(
        driver.obs["image"][0, 0], make(0, 1).step(actions[0, 0])["image"]
    )
    driver.close()


def test_a_row_that_hangs_is_noticed_after_its_own_time():
    ctors = [functools.partial(faulty_env.make, fault, 1) for fault in (None, "hang")]
    driver = Driver([[ProcessGroup(ctors, "worker 0", 1.0)]], threads=1)
    actions = np.eye(4, dtype=np.float32)[[[0, 0]]]
    driver.step(actions, np.ones((1, 2), bool))
    start = time.monotonic()
    with pytest.warns(RuntimeWarning, match="worker 0: restart number 1"):
        assert driver.step(actions, np.ones((1, 2), bool)).cut.all()
    assert driver.obs["is_first"].all()
    assert time.monotonic() - start < 20  # Not the time of all, and a start.
    driver.close()


def test_each_row_has_the_whole_time():
    slow = ProcessGroup([functools.partial(faulty_env.make, "slow", 1)] * 3, "worker 0", 1.5)
    driver = Driver([[slow]])
    actions = np.eye(4, dtype=np.float32)[[[0, 0, 0]]]
    for _ in range(2):  # The second takes 2.4 seconds in all; a restart would warn.
        assert not driver.step(actions, np.ones((1, 3), bool)).cut.any()
    assert not driver.obs["is_first"].any()
    driver.close()
