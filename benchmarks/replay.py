"""Inserts and samples per second of the replay, and its memory, on the host and the device.

    python -m benchmarks.replay [--capacity 100000] [--streams 1] [--stores host device] [--json]

Floors: a transition's bytes, and a batch's bytes, over the rate of a large copy. The device store
hands over indices only; the images are gathered inside the compiled update.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np

from benchmarks import common
from embodied.replay.replay import Replay
from harmony_dreamerv3.agents.dreamerv3 import Agent
from harmony_dreamerv3.runtime import device_replay


def measure(args: Any, agent: Agent, store: Any) -> dict[str, float]:
    """Fills a replay a while, then draws batches; rates and bytes."""
    c = agent.config
    spaces = {**agent.obs_space, **agent.act_space}
    replay = Replay(spaces, args.capacity, args.streams, c.batch_length, 0, store)
    data = [common.make_batch(agent, (args.streams,), seed) for seed in range(16)]
    inserts = max(2 * c.batch_length, args.inserts)
    replay.insert(data[0])
    start = time.perf_counter()
    for index in range(inserts):
        replay.insert(data[index % 16])
    if isinstance(replay.store, device_replay.DeviceStore):
        jax.block_until_ready(replay.store.arrays)
    insert_s = (time.perf_counter() - start) / inserts
    samples = [_sampled(replay, update, c.batch_size) for update in range(args.repeats)]
    wall, work = (float(np.median(column)) for column in zip(*samples))
    return {
        "inserts_per_s": args.streams / insert_s, "samples_per_s": 1 / wall,
        "sample_ms": 1000 * wall, "sample_cpu_ms": 1000 * work, "steps": replay.size,
        "mib": replay.store.nbytes / 2**20,
    }  # fmt: skip


def _sampled(replay: Replay, update: int, windows: int) -> tuple[float, float]:
    """Seconds by the clock and of processor time until a batch is where an update reads it."""
    start, before = time.perf_counter(), time.process_time()
    batch = replay.sample(update, windows)
    if isinstance(batch, device_replay.DeviceBatch):
        jax.block_until_ready(device_replay.gather(batch.store.arrays, batch.index, batch.first))
    else:  # As the runtime hands it over, with an axis of members.
        jax.block_until_ready(jax.device_put({k: np.stack([v]) for k, v in batch.items()}))
    return time.perf_counter() - start, time.process_time() - before


def main() -> None:
    """Measures both stores."""
    options = common.parser(__doc__)
    options.set_defaults(repeats=20)
    options.add_argument("--capacity", type=int, default=100_000)
    options.add_argument("--streams", type=int, default=1)
    options.add_argument("--inserts", type=int, default=2000)
    options.add_argument(
        "--stores", nargs="+", choices=["host", "device"], default=["host", "device"]
    )
    args = options.parse_args()
    agent = common.make_agent(args)
    c = agent.config
    spaces = {**agent.obs_space, **agent.act_space}
    rate = common.ceilings()["gbytes"] * 1e9
    step = sum(int(np.prod(s.shape)) * s.dtype.itemsize for s in spaces.values())
    batch = step * c.batch_size * c.batch_length
    result: dict[str, Any] = {
        # Read and written.
        "floor": {"inserts_per_s": rate / (2 * step), "samples_per_s": rate / (2 * batch)},
        "batch_mib": batch / 2**20,
    }
    for name in args.stores:
        store = None
        if name == "device":
            store = device_replay.DeviceStore(spaces, args.capacity, jax.devices()[0])
        result[name] = measure(args, agent, store)
    common.show(result, args.json)


if __name__ == "__main__":
    main()
