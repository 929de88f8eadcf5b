"""Counts what the compiled update launches: instructions, loops and what their bodies repeat.

    python -m benchmarks.hlo_count [--batch 4] [--length 16] [--json]

Every instruction of the entry computation that does work is one launch on a GPU, give or take;
those in a loop's body count once for each of its trips. The plain version stands beside the
agent's. Counts depend on the backend that compiles; compare them only within one.
"""

from __future__ import annotations

import jax
import numpy as np

from benchmarks import common
from benchmarks.aot import count
from benchmarks.update import compiled_step
from harmony_dreamerv3.nets.fast import plain


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
