"""Seconds until the first update: traced and compiled anew, and from the compilation cache.

    python -m benchmarks.compile [--learners 1] [--batch 16] [--length 64] [--json]

Each figure comes from a fresh process. The floor is tracing, which no cache saves.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax
import numpy as np

from benchmarks import common


def once(args: argparse.Namespace) -> dict[str, float]:
    """Lowers and compiles the update and the policy in this process."""
    agent = common.make_agent(args)
    c, n = agent.config, args.learners
    step = agent.train_step if n == 1 else jax.vmap(agent.train_step)
    lead = (c.batch_size, c.batch_length) if n == 1 else (n, c.batch_size, c.batch_length)
    keys = jax.ShapeDtypeStruct((2,) if n == 1 else (n, 2), np.uint32)
    state = jax.eval_shape(agent.init if n == 1 else jax.vmap(agent.init), keys)
    batch = common.make_batch(agent, lead)
    start = time.perf_counter()
    lowered = jax.jit(step, donate_argnums=0).lower(state, batch)
    traced = time.perf_counter()
    lowered.compile()
    return {"trace_s": traced - start, "compile_s": time.perf_counter() - traced}


def measure(arguments: list[str]) -> dict[str, Any]:
    """Runs this script twice with an empty cache that the second one finds filled."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "benchmarks.compile", *arguments, "--once", cache]
        runs = [
            json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            for _ in range(2)
        ]
    return {"cold": runs[0], "cached": runs[1], "floor": {"trace_s": runs[1]["trace_s"]}}


def main() -> None:
    """Measures, or is the process that is measured."""
    options = common.parser(__doc__)
    options.add_argument("--learners", type=int, default=1)
    options.add_argument("--once", metavar="CACHE", help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.once:
        jax.config.update("jax_compilation_cache_dir", args.once)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        print(json.dumps(once(args)))
        return
    common.show(measure([a for a in sys.argv[1:] if a != "--json"]), args.json)


if __name__ == "__main__":
    main()
