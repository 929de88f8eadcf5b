"""What a checkpoint costs, as a share of the time between two of them.

    python -m benchmarks.save [--updates-per-s 90] [--json]

A train state of the configuration's size and `run.save_every` new transitions of 64x64 images. The
loop waits for the first part, which copies both; the second, which encodes, hashes and writes them,
runs in the background. The share is given for each alone against `run.save_every` agent steps.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common
from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.manifest import Part
from embodied.replay.chunks import ReplayFiles
from embodied.replay.replay import Replay
from harmony_dreamerv3.runtime import device_replay, trees


def filled(agent: Any) -> Any:
    """A train state of one member with zeros; its numbers do not matter, its size does."""
    shapes = jax.eval_shape(agent.init, jax.random.key_data(jax.random.key(0)))
    return jax.tree.map(lambda x: jnp.ones((1, *x.shape), x.dtype), shapes)


def measure(folder: Path, agent: Any, state: Any, store: Any) -> dict[str, float]:
    """Seconds of one checkpoint, after one that has warmed everything up."""
    c = agent.config
    spaces = {**agent.obs_space, **agent.act_space}
    every = c.run.save_every
    replay = Replay(spaces, 2 * every, 1, c.batch_length, 0, store)
    files, checkpoints = ReplayFiles(replay), Checkpoints(folder, [folder])
    data = [common.make_batch(agent, (1,), seed) for seed in range(16)]
    found: dict[str, float] = {}
    for number in (1, 2):
        for index in range(every):
            replay.insert(data[index % 16])
        if isinstance(replay.store, device_replay.DeviceStore):
            jax.block_until_ready(replay.store.arrays)
        start, busy = time.perf_counter(), time.thread_time()
        learned = trees.flat(state, 1)[0]
        copied, chunks, _ = files.save(number * every)
        waited, waited_cpu = time.perf_counter() - start, time.thread_time() - busy
        kept = [each["name"] for each in copied["chunks"] if each["name"] not in chunks]
        part = Part({"replay": copied}, {"learner.safetensors": learned}, chunks, kept)
        start, busy = time.perf_counter(), time.thread_time()
        checkpoints.save(number * every, [part])
        found = {
            "waiting_s": waited,
            "waiting_cpu_s": waited_cpu,
            "background_s": time.perf_counter() - start,
            "background_cpu_s": time.thread_time() - busy,
            "state_mb": sum(x.nbytes for x in learned.values()) / 1e6,
            "replay_mb": sum(x.nbytes for each in chunks.values() for x in each.values()) / 1e6,
        }
    return found


def main() -> None:
    """Measures with the replay on the host and on the device."""
    options = common.parser(__doc__)
    options.add_argument("--updates-per-s", type=float, default=90.0)
    args = options.parse_args()
    agent = common.make_agent(args)
    run, c = agent.config.run, agent.config
    updates = run.save_every * run.train_ratio / (c.batch_size * c.batch_length)
    seconds = updates / args.updates_per_s
    state = filled(agent)
    spaces = {**agent.obs_space, **agent.act_space}
    result: dict[str, Any] = {"seconds_between": seconds}
    stores = {
        "host": None,
        "device": device_replay.DeviceStore(spaces, 2 * run.save_every, jax.devices()[0]),
    }
    for name, store in stores.items():
        with tempfile.TemporaryDirectory(dir=".") as folder:
            rounds = [measure(Path(folder), agent, state, store) for _ in range(args.repeats)]
        median = {key: float(np.median([one[key] for one in rounds])) for key in rounds[0]}
        shares = {
            f"{part}_percent": 100 * median[f"{part}_s"] / seconds
            for part in ("waiting", "background")
        }
        result[name] = median | shares
    common.show(result, args.json)


if __name__ == "__main__":
    main()
