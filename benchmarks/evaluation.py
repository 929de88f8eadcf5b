"""Seconds of an evaluation: parallel environments under a batched policy.

    python -m benchmarks.evaluation [--episodes 100] [--envs 100] [--processes 0] [--json]

The policy is untrained, so episodes have the length that chance gives them; compare the steps per
second. The floor is the same number of policy calls without environments.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from typing import Any

import jax

from benchmarks import common
from embodied.run.evaluation import evaluate_policy
from harmony_dreamerv3.config import environments
from harmony_dreamerv3.runtime.runtime import Runtime


def measure(args: Any) -> dict[str, Any]:
    """Plays one evaluation, then the policy alone on the last kind of observation."""
    config = common.make_agent(args).config
    run = dataclasses.replace(
        config.run,
        eval_eps=args.episodes,
        eval_envs=args.envs,
        video_length=0,
        eval_processes=args.processes,
    )
    make_env = environments.maker(config)
    probe = make_env(0, 0, 0)
    runtime = Runtime(config, probe.obs_space, probe.act_space, [0])
    probe.close()
    rows = min(args.envs, args.episodes)
    obs = common.make_batch(runtime.agent, (1, rows))
    carry = runtime.initial_carry(rows)
    call = functools.partial(runtime.act, carry, obs, (0, 0), "eval")
    alone = min(common.interleaved({"act": lambda: call()[1]}, 10)["act"])
    start = time.perf_counter()
    outcome = evaluate_policy(make_env, runtime, runtime.snapshot(), [0], [0], 0, run)
    seconds = time.perf_counter() - start
    lengths = [episode.length for episode in outcome.episodes[0]]
    # A row plays its episodes one after another, each with a reset; the longest sets the calls.
    played = [0] * rows
    for episode in outcome.episodes[0]:
        played[episode.row] += episode.length + 1
    calls = max(played)
    return {
        "seconds": seconds, "episodes": len(lengths), "steps": sum(lengths),
        "steps_per_s": sum(lengths) / seconds, "floor_s": alone * calls,
        "policy_share": alone * calls / seconds,
    }  # fmt: skip


def main() -> None:
    """Times one evaluation."""
    options = common.parser(__doc__)
    options.set_defaults(task="atari_pong")
    options.add_argument("--episodes", type=int, default=100)
    options.add_argument("--envs", type=int, default=100)
    options.add_argument("--processes", type=int, default=0, help="-1: one for each spare core")
    args = options.parse_args()
    jax.config.update("jax_default_matmul_precision", "highest")
    common.show(measure(args), args.json)


if __name__ == "__main__":
    main()
