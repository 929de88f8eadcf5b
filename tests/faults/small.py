"""A small run with the fake learner, for tests of loops and faults."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fake_learner import FakeLearner

import embodied.envs
from embodied.core.env import Env
from embodied.run import MakeEnv, RunConfig, train_eval

SMALL: dict[str, Any] = {
    "steps": 120,
    "envs": 2,
    "train_ratio": 8.0,
    "train_fill": 10,
    "log_every": 20,
    "report_every": 40,
    "eval_every": 60,
    "eval_eps": 5,
    "eval_envs": 3,
    "save_every": 30,
    "video_length": 10,
}


def make_env(member: int, index: int, seed: int) -> Env:
    """Returns a quick environment; each member's alike."""
    return embodied.envs.make("dummy_disc", seed, {"size": 8, "length": 12})


def make_learner(seeds: Sequence[int] = (3,), cls: type = FakeLearner, **options: Any) -> Any:
    """Returns a learner for `make_env`."""
    return cls(list(seeds), make_env(0, 0, 0).act_space["action"], **options)


def folders(root: Path, seeds: Sequence[int]) -> list[Path]:
    """Returns the run folders of a population, or the one of a single seed."""
    return [root / f"seed-{seed}" for seed in seeds] if len(seeds) > 1 else [root]


def train(
    root: Path,
    learner: FakeLearner | None = None,
    seeds: Sequence[int] = (3,),
    env: MakeEnv = make_env,
    eval_env: MakeEnv | None = make_env,
    **settings: Any,
) -> dict[str, Any]:
    """Trains with batches of 2 windows of 4 steps."""
    learner = learner or make_learner(seeds, latents="replay_context" in settings)
    run = RunConfig(**{**SMALL, **settings})
    return train_eval(learner, env, eval_env, folders(root, seeds), list(seeds), run, 2, 4)


def lines(path: Path) -> list[dict[str, Any]]:
    """Returns the lines of a record."""
    return [json.loads(line) for line in path.read_text().splitlines()]
