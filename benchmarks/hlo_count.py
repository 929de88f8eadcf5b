"""Counts what the compiled update launches: instructions, loops and what their bodies repeat.

    python -m benchmarks.hlo_count [--batch 4] [--length 16] [--json]

Every instruction of the entry computation that does work is one launch on a GPU, give or take;
those in a loop's body count once for each of its trips. The plain version stands beside the
agent's. Counts depend on the backend that compiles; compare them only within one.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import jax
import numpy as np

from benchmarks import common
from benchmarks.update import compiled_step
from harmony_dreamerv3.nets.fast import plain

# They move no data, or name values.
FREE = {
    "parameter", "constant", "get-tuple-element", "tuple", "bitcast", "after-all", "iota",
    "partition-id", "opt-barrier",
}  # fmt: skip
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.-]+ = .*?([a-z][\w-]*)\(")
LOOP = re.compile(r"body=%?([\w.-]+)")
TRIPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')


def count(text: str) -> dict[str, Any]:
    """Counts instructions of a compiled module.

    Args:
      text: of `compiled.as_text()`.

    Returns:
      `entry` instructions, `loops` with trips and instructions of each body, `launches` (entry
      and bodies times trips), and how often `dot`, `convolution` and `fusion` occur in all.
    """
    bodies, loops, entry = _computations(text)
    rows = []
    for body, trips in loops.items():
        work = sum(bodies.get(body, Counter()).values())
        rows.append({"trips": trips, "body": work})
    rows.sort(key=lambda row: -row["trips"] * row["body"])
    kinds: Counter[str] = Counter()
    for counter in bodies.values():
        kinds.update(counter)
    total = sum(bodies[entry].values())
    return {
        "entry": total,
        "loops": len(rows),
        "in_loops": sum(row["trips"] * row["body"] for row in rows),
        "launches": total + sum(row["trips"] * row["body"] for row in rows),
        "largest_loops": rows[:4],
        **{kind: kinds[kind] for kind in ("dot", "convolution", "fusion")},
    }


def _computations(text: str) -> tuple[dict[str, Counter[str]], dict[str, int], str]:
    """Working instructions by computation, trips by loop body, name of the entry."""
    bodies: dict[str, Counter[str]] = {}
    loops: dict[str, int] = {}
    entry = name = ""
    for line in text.splitlines():
        if line and not line[0].isspace() and line.rstrip().endswith("{"):
            name = line.split("(")[0].replace("ENTRY", "").strip().lstrip("%")
            entry = name if line.startswith("ENTRY") else entry
            bodies[name] = Counter()
            continue
        found = INSTRUCTION.match(line)
        if not found or not name:
            continue
        kind = found.group(1)
        if kind == "while":
            trips = TRIPS.search(line)
            loops[LOOP.search(line).group(1)] = int(trips.group(1)) if trips else 1  # type: ignore[union-attr]
        elif kind not in FREE:
            bodies[name][kind] += 1
    return bodies, loops, entry


def main() -> None:
    """Compiles both versions and counts."""
    args = common.parser(__doc__).parse_args()
    agent = common.make_agent(args)
    c = agent.config
    batch = common.make_batch(agent, (c.batch_size, c.batch_length))
    state = jax.eval_shape(agent.init, jax.ShapeDtypeStruct((2,), np.uint32))
    result = {
        name: count(compiled_step(version, state, batch, 1).as_text())
        for name, version in {"plain": plain(agent.train_step), "fast": agent.train_step}.items()
    }
    common.show(result, args.json)


if __name__ == "__main__":
    main()
