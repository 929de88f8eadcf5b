"""Updates per second, for several learners in one program, beside the plain version.

    python -m benchmarks.update [--learners 1 2 5 8] [--precision float32 bfloat16] [--plain]
        [--batch 16] [--length 64] [--json]

`--plain` times the plain version (`nets.fast.plain`) in turn with the agent's. The floor
is the greater of operations over the machine's product rate and bytes over its copy rate; both
rates are measured first. Bytes are those that must move: parameters, moments and batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from benchmarks import common, flops
from harmony_dreamerv3.agents.dreamerv3 import Agent
from harmony_dreamerv3.nets.fast import plain


def compiled_step(step: Any, state: Any, batch: Any, learners: int) -> Any:
    """The compiled update `step`, its state donated."""
    step = step if learners == 1 else jax.vmap(step)
    return jax.jit(step, donate_argnums=0).lower(state, batch).compile()


def stepper(step: Any, state: Any, batch: Any) -> Callable[[], Any]:
    """A call that makes one update and keeps the state."""
    holder = [state]

    def call() -> Any:
        holder[0], _, metrics = step(holder[0], batch)
        return metrics

    return call


def floor(agent: Agent, state: Any, batch: Any, learners: int, rates: dict[str, float]) -> dict:
    """Seconds that one update of all learners must take at the measured rates."""
    gflop = learners * sum(flops.update(agent).values())
    # Every parameter and both its moments are read and written; the batch is read.
    held = (state.params, state.opt, state.slow_critic)
    gbyte = 2 * _nbytes(held) / 1e9 + _nbytes(batch) / 1e9
    by_products, by_bytes = gflop / rates["gflops"], gbyte / rates["gbytes"]
    return {
        "gflop": gflop, "gbyte": gbyte, "products_s": by_products, "bytes_s": by_bytes,
        "floor_s": max(by_products, by_bytes),
    }  # fmt: skip


def measure(args: Any, learners: int, precision: str) -> dict[str, Any]:
    """Times one combination."""
    agent = common.make_agent(args, **{"jax.precision": precision})
    c = agent.config
    lead = (c.batch_size, c.batch_length) if learners == 1 else (
        learners, c.batch_size, c.batch_length
    )  # fmt: skip
    batch = jax.device_put(common.make_batch(agent, lead))
    versions: dict[str, Any] = {"fast": agent.train_step}
    if args.plain and precision == "float32":
        versions["plain"] = plain(agent.train_step)
    calls, result = {}, {}
    for name, version in versions.items():
        state = common.make_state(agent, learners)
        step = compiled_step(version, state, batch, learners)
        result[name] = common.cost(step)
        calls[name] = stepper(step, state, batch)
    seconds = common.interleaved(calls, args.repeats)
    for name, values in seconds.items():
        result[name] |= common.summary(values)
        result[name]["updates_per_s"] = learners / result[name]["median_s"]
    if "plain" in result:
        result["plain/fast"] = {
            "time": result["plain"]["median_s"] / result["fast"]["median_s"],
            "memory": result["plain"]["all_mib"] / result["fast"]["all_mib"],
        }
    rates = common.ceilings(agent.dtype)
    result["floor"] = {**floor(agent, state, batch, learners, rates), **rates}
    return result


def _nbytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def main() -> None:
    """Runs every combination and prints one result."""
    options = common.parser(__doc__)
    options.add_argument("--learners", type=int, nargs="+", default=[1, 2, 5, 8])
    options.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    options.add_argument("--plain", action="store_true")
    args = options.parse_args()
    jax.config.update("jax_default_matmul_precision", "highest")
    for learners in args.learners:
        for precision in args.precision:
            result = measure(args, learners, precision)
            head = {"learners": learners, "precision": precision}
            common.show({**head, **result}, args.json)


if __name__ == "__main__":
    main()
