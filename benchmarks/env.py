"""Steps per second of environments: one alone, one in a process, many.

    python benchmarks/env.py [--task atari_pong] [--envs 8] [--processes 2] [--seconds 3] [--json]

The floor of Atari is the bare emulator: frames per second of `ALEInterface.act` alone, divided by
the frames of a step. `cpu` is steps per second of processor time of this process, which is what a
busy machine should be judged by.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import embodied.envs
from embodied.stepping.driver import Driver
from embodied.stepping.groups import Group, Local
from embodied.stepping.process import ProcessGroup


def measure(step: Callable[[], Any], steps: int, seconds: float) -> dict[str, float]:
    """Calls `step`, which makes so many environment steps, for some seconds.

    Args:
      step: what to time; called once before.
      steps: environment steps that one call makes.
      seconds: least wall clock to measure for.
    """
    step()
    calls, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        step()
        calls += 1
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall": calls * steps / wall, "cpu": calls * steps / max(cpu, 1e-9)}


def floor(game: str, repeat: int, seconds: float) -> dict[str, float]:
    """Measures the bare emulator in steps of `repeat` frames."""
    import ale_py

    from embodied.envs import atari

    ale = ale_py.ALEInterface()
    ale.loadROM(str(atari.rom(game)))
    ale.reset_game()

    def step() -> None:
        for _ in range(repeat):
            ale.act(0)
        if ale.game_over():
            ale.reset_game()

    return measure(step, 1, seconds)


def rates(task: str, count: int, workers: int, seconds: float) -> dict[str, dict[str, float]]:
    """Returns steps per second for each way of stepping `count` environments of a task."""
    rng = np.random.default_rng(0)
    one = embodied.envs.make(task, 0)
    space = one.act_space["action"]
    actions = np.stack([[space.sample(rng) for _ in range(count)] for _ in range(64)])
    turns = iter(range(10**9))

    def action() -> np.ndarray:
        return actions[next(turns) % 64]

    found = {}
    if task.startswith("atari_"):
        game = task.removeprefix("atari_")
        found["floor: emulator alone"] = floor(game, one.repeat, seconds)
    found["one"] = measure(lambda: one.step(action()[0]), 1, seconds)
    one.close()
    process = ProcessGroup([functools.partial(_make, task, 0)], "process")
    found["one in a process"] = measure(lambda: process.step([0], [action()[0]]), 1, seconds)
    process.close()
    active = np.ones((1, count), bool)
    here: list[Group] = [Local([functools.partial(_make, task, n, 0) for n in range(count)])]
    dealt = np.array_split(np.arange(count), min(workers, count))
    shared: list[Group] = [
        ProcessGroup([functools.partial(_make, task, int(n)) for n in share], "process")
        for share in dealt
    ]
    for name, groups, threads in (
        (f"{count} here", here, 0),
        (f"{count} in {len(dealt)} processes", shared, len(dealt)),
    ):
        driver = Driver([groups], threads)
        step = functools.partial(_step, driver, action, active)
        found[name] = measure(step, count, seconds)
        driver.close()
    return found


def _step(driver: Driver, action: Callable[[], np.ndarray], active: np.ndarray) -> None:
    driver.step(action()[None], active)


def _make(task: str, seed: int, restarts: int) -> Any:
    return embodied.envs.make(task, seed)


def main() -> None:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="atari_pong", help="such as dmc_walker_walk")
    parser.add_argument("--envs", type=int, default=8, help="how many side by side")
    parser.add_argument("--processes", type=int, default=2, help="that share them")
    parser.add_argument("--seconds", type=float, default=3.0, help="wall clock for each figure")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = rates(arguments.task, arguments.envs, arguments.processes, arguments.seconds)
    if arguments.json:
        print(json.dumps({"task": arguments.task, "steps_per_second": found}))
        return
    print(f"{arguments.task}: steps per second")
    for name, rate in found.items():
        print(f"  {name:26s} {rate['wall']:10,.0f} by the clock {rate['cpu']:10,.0f} by CPU time")


if __name__ == "__main__":
    main()
