"""What the benchmark scripts share: agents, batches, clocks, ceilings of the machine, output."""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from embodied.core.space import Space
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.agents import agent_class
from harmony_dreamerv3.agents.base import TrainState
from harmony_dreamerv3.config import environments
from harmony_dreamerv3.runtime import memory

Arrays = dict[str, np.ndarray]
ACTIONS = 6  # Pong's minimal set
memory.keep()  # As training does, and before JAX starts.


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Arguments of every script that runs the agent."""
    args = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    args.add_argument("--configs", nargs="+", default=["atari100k"])
    args.add_argument("--task", default="", help="whose observations and actions; default: Atari")
    args.add_argument("--batch", type=int, default=0, help="windows; 0: that of the configuration")
    args.add_argument("--length", type=int, default=0, help="steps of a window; 0: likewise")
    args.add_argument("--flags", nargs="*", default=[], metavar="KEY=VALUE")
    args.add_argument("--repeats", type=int, default=5)
    args.add_argument("--json", action="store_true")
    return args


def make_agent(args: argparse.Namespace, **flags: Any) -> Any:
    """An agent of the configuration in `args`: for its task, or else an Atari game of 64x64."""
    given = dict(flag.split("=", 1) for flag in args.flags)
    given |= {"task": args.task} if args.task else {}
    sizes = {"batch_size": args.batch, "batch_length": args.length}
    sizes = {key: value for key, value in sizes.items() if value}
    config = configs.make(args.configs, {"harmony": True, **sizes, **given, **flags})
    if not args.task:
        return agent_class(config.base)(config, *spaces())
    probe = environments.maker(config)(0, 0, 0)
    probe.close()
    return agent_class(config.base)(config, probe.obs_space, probe.act_space)


def spaces() -> tuple[dict[str, Space], dict[str, Space]]:
    """Spaces of an Atari game."""
    flag = Space(bool)
    obs = {"image": Space(np.uint8, (64, 64, 3)), "reward": Space(np.float32), "is_first": flag}
    obs |= {"is_last": flag, "is_terminal": flag}
    return obs, {"action": Space(np.float32, (ACTIONS,), 0.0, 1.0, discrete=True)}


def make_batch(agent: Any, lead: Sequence[int], seed: int = 0) -> Arrays:
    """A batch `[*lead, ...]` of noise with the shapes of the agent's spaces."""
    rng = np.random.default_rng(seed)
    batch: Arrays = {}
    for key, space in {**agent.obs_space, **agent.stored_space}.items():
        shape = (*lead, *space.shape)
        if space.dtype == np.uint8:
            batch[key] = rng.integers(0, 256, shape, np.uint8)
        elif space.dtype == bool:
            batch[key] = rng.random(shape) < 0.02
        else:
            batch[key] = rng.normal(size=shape).astype(np.float32)
    for key, space in agent.act_space.items():
        (count,) = space.shape
        index = rng.integers(0, count, lead)
        draw = np.eye(count)[index] if space.discrete else rng.uniform(-1, 1, (*lead, count))
        batch[key] = draw.astype(np.float32)
    flags = {key: np.zeros(lead, bool) for key in agent.batch_keys if key not in batch}
    return {key: batch[key] for key in agent.batch_keys if key in batch} | flags


def make_state(agent: Any, learners: int) -> TrainState:
    """A fresh state; `[N, ...]` when there are several learners."""
    keys = jnp.stack([jax.random.key_data(jax.random.key(seed)) for seed in range(learners)])
    return jax.jit(agent.init)(keys[0]) if learners == 1 else jax.jit(jax.vmap(agent.init))(keys)


def interleaved(calls: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each call, taken in turn so that a busy machine slows all of them alike.

    Args:
      calls: name -> what to time; called once before, its result awaited.
      repeats: rounds.
    """
    for call in calls.values():
        jax.block_until_ready(call())
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            seconds[name].append(time.perf_counter() - start)
    return seconds


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {
        "median_s": float(np.median(seconds)), "min_s": min(seconds), "max_s": max(seconds),
    }  # fmt: skip


def cost(compiled: Any) -> dict[str, float]:
    """Operations and bytes that the compiler counts, and the memory that a call takes.

    Loop bodies are counted once by XLA's own count of operations, so it is a lower bound.
    """
    analysis = compiled.cost_analysis() or {}
    memory = compiled.memory_analysis()
    return {
        "gflop": analysis.get("flops", 0.0) / 1e9,
        "gbyte": analysis.get("bytes accessed", 0.0) / 1e9,
        "temp_mib": memory.temp_size_in_bytes / 2**20,
        "all_mib": (
            memory.argument_size_in_bytes
            + memory.output_size_in_bytes
            - memory.alias_size_in_bytes
            + memory.temp_size_in_bytes
        )
        / 2**20,
    }


def ceilings(dtype: Any = jnp.float32) -> dict[str, float]:
    """Measured ceilings: GFLOP/s of a large matrix product, GB/s of a large copy."""
    on_cpu = jax.default_backend() == "cpu"
    size, words = (2048, 2**26) if on_cpu else (8192, 2**29)
    a = jnp.ones((size, size), dtype)
    held = [jnp.ones((words,), jnp.float32)]
    product = jax.jit(lambda a: a @ a)
    add = jax.jit(lambda x: x + 1, donate_argnums=0)

    def copy() -> jax.Array:
        held[0] = add(held[0])  # In place: new pages would cost more than the copy.
        return held[0]

    seconds = interleaved({"product": lambda: product(a), "copy": copy}, 5)
    best = {name: min(values) for name, values in seconds.items()}
    return {
        "gflops": 2 * size**3 / best["product"] / 1e9,
        "gbytes": 2 * 4 * words / best["copy"] / 1e9,
    }


def peak_rss_mib() -> float:
    """Most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(result: Mapping[str, Any], as_json: bool) -> None:
    """Prints a result: one line of JSON, or aligned text."""
    result = {"device": jax.devices()[0].device_kind, "jax": jax.__version__, **result}
    if as_json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        rows = value.items() if isinstance(value, Mapping) else [("", value)]
        for name, item in rows:
            label = f"{key} {name}".strip()
            text = (
                ", ".join(f"{k} {_round(v)}" for k, v in item.items())
                if isinstance(item, Mapping)
                else _round(item)
            )
            print(f"{label:<32} {text}")


def _round(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
