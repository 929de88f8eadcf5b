"""Seconds of one agent step of the policy, with the host round trip that a run makes.

    python -m benchmarks.policy [--rows 1 8 100] [--learners 1 5] [--json]

The floor is the greater of reading the policy's parameters once (and copying the observations)
and of its products, at rates measured first.
"""

from __future__ import annotations

from typing import Any

import jax

from benchmarks import common, flops
from harmony_dreamerv3.runtime.runtime import Runtime


def measure(args: Any, learners: int, rows: int, rates: dict[str, float]) -> dict[str, Any]:
    """Times `Runtime.act` for `[learners, rows]` environments."""
    config = common.make_agent(args).config
    runtime = Runtime(config, *common.spaces(), range(learners))
    obs = common.make_batch(runtime.agent, (learners, rows))
    carry = [runtime.initial_carry(rows)]
    count = iter(range(10**9))

    def act() -> Any:
        carry[0], action = runtime.act(carry[0], obs, (next(count),), "train")
        return action

    seconds = common.interleaved({"act": act}, args.repeats)["act"]
    read = sum(leaf.nbytes for leaf in jax.tree.leaves(runtime.snapshot())) + obs["image"].nbytes
    by_bytes = read / 1e9 / rates["gbytes"]
    by_products = learners * rows * flops.policy(runtime.agent) / rates["gflops"]
    result = common.summary(seconds)
    floor = {"floor_s": max(by_bytes, by_products), "bytes_s": by_bytes, "products_s": by_products}
    return {**result, "steps_per_s": learners * rows / result["median_s"], **floor}


def main() -> None:
    """Times all combinations."""
    options = common.parser(__doc__)
    options.set_defaults(repeats=50)
    options.add_argument("--rows", type=int, nargs="+", default=[1, 8, 100])
    options.add_argument("--learners", type=int, nargs="+", default=[1, 5])
    args = options.parse_args()
    jax.config.update("jax_default_matmul_precision", "highest")
    rates = common.ceilings()
    result: dict[str, Any] = {"ceilings": rates}
    for learners in args.learners:
        for rows in args.rows:
            result[f"{learners} x {rows}"] = measure(args, learners, rows, rates)
    common.show(result, args.json)


if __name__ == "__main__":
    main()
