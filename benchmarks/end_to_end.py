"""Agent steps per second of real training, and where the time goes.

    python -m benchmarks.end_to_end [--task atari_pong] [--steps 3000] [--seeds 0 1] [--json]

Trains in a temporary folder without evaluation, and reads timing.jsonl from the steps after which
every program is compiled. The floor is the update alone (benchmarks/update.py) at the same size:
`train` is only the time to hand an update over, and what `policy` waits for is mostly the update.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax

from benchmarks import common
from benchmarks.update import compiled_step, stepper
from harmony_dreamerv3.api.training import train


def measure(args: Any) -> dict[str, Any]:
    """Trains, then sums the lines of timing.jsonl after the first with updates."""
    config = common.make_agent(args).config
    run = dataclasses.replace(
        config.run, steps=args.steps, train_fill=args.fill, log_every=args.log_every,
        eval_every=0, report_every=0, save_every=10 * args.steps, replay_size=args.steps,
    )  # fmt: skip
    config = dataclasses.replace(config, run=run)
    with tempfile.TemporaryDirectory() as folder:
        seeds = args.seeds if len(args.seeds) > 1 else None
        train(config, logdir=Path(folder), seeds=seeds)
        where = Path(folder) / (f"seed-{args.seeds[0]}" if seeds else "")
        text = (where / "timing.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    busy = [index for index, line in enumerate(lines) if line.get("updates", 0) > 0]
    first, last = lines[busy[0]], lines[-1]
    kept = lines[busy[0] + 1 :]
    total = sum(line["seconds/total"] for line in kept)
    names = {k for line in kept for k in line if k.startswith("seconds/")} - {"seconds/total"}
    return {
        "agent_steps_per_s": (last["step"] - first["step"]) / total,
        "updates_per_s": len(args.seeds) * (last["updates"] - first["updates"]) / total,
        "share": {
            name.removeprefix("seconds/"): sum(line.get(name, 0.0) for line in kept) / total
            for name in sorted(names)
        },
    }


def floor(args: Any) -> float:
    """Updates per second of the update alone."""
    agent, n = common.make_agent(args), len(args.seeds)
    c = agent.config
    lead = (c.batch_size, c.batch_length) if n == 1 else (n, c.batch_size, c.batch_length)
    batch, state = jax.device_put(common.make_batch(agent, lead)), common.make_state(agent, n)
    step = compiled_step(agent.train_step, state, batch, n)
    seconds = common.interleaved({"update": stepper(step, state, batch)}, args.repeats)["update"]
    return n / common.summary(seconds)["median_s"]


def main() -> None:
    """Measures one run."""
    options = common.parser(__doc__)
    options.set_defaults(task="atari_pong")
    options.add_argument("--steps", type=int, default=3000)
    options.add_argument("--fill", type=int, default=1024)
    options.add_argument("--log-every", type=int, default=200)
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = options.parse_args()
    jax.config.update("jax_default_matmul_precision", "highest")
    with contextlib.redirect_stdout(sys.stderr):  # Training's own lines.
        found = {**measure(args), "floor_updates_per_s": floor(args)}
    common.show(found, args.json)


if __name__ == "__main__":
    main()
