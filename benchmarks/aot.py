"""What XLA makes of the update for an accelerator that is not there.

    python -m benchmarks.aot --target h100 [--learners 1 5] [--precision float32 bfloat16]
        [--products tensorfloat32] [--configs atari100k] [--batch 16] [--length 64] [--json]

Compiles ahead of time: for an H100 or H200 with `jax[cuda12]`, for TPU v5e or v6e with `jax[tpu]`,
each in an environment of its own, on any machine. Prints whether it compiles, the memory of
arguments and temporaries, launches of an update (instructions of the entry, and of each loop's body
times its trips), calls of libraries, kernels of Triton, products and how many of them tensor cores
take, what goes to the host, and grouped convolutions. Tuning needs the card, so the choice of
algorithms is not the card's; fusion, loops, layouts, library calls and memory are.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections import Counter
from typing import Any

# What describes a card to XLA; H100 SXM, and where an H200 differs.
CARD = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: %(bandwidth)d l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: %(memory)d shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 } registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
device_description_str: "%(name)s"
"""
CARDS = {
    "h100": {"bandwidth": 3352320000000, "memory": 84942979072, "name": "NVIDIA H100 80GB HBM3"},
    "h200": {"bandwidth": 4800000000000, "memory": 150754820096, "name": "NVIDIA H200"},
}
TPUS = {"v5e": "v5e:2x2", "v6e": "v6e:2x2"}
# Instructions that do no work of their own: they move no data, name values, or wait.
FREE = {
    "parameter", "constant", "get-tuple-element", "tuple", "bitcast", "after-all", "iota",
    "partition-id", "opt-barrier",
}  # fmt: skip
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.-]+ = .*?([a-z][\w-]*)\(")
LOOP = re.compile(r"body=%?([\w.-]+)")
TRIPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')
# Where the compiler does not say it, a loop's condition compares its counter with a constant.
CONDITION = re.compile(r"condition=%?([\w.-]+)")
CONSTANT = re.compile(r"s32\[\]\S* constant\((\d+)\)")
CALL = re.compile(r'custom_call_target="([^"]+)"')
GROUPED = re.compile(r"(?:feature|batch)_group_count=(?!1\b)\d+")
TYPE = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = \(?(\w+)\[")
PRODUCT = re.compile(r" (?:dot|convolution|custom-call)\(%?([\w.-]+)(?=[^)]*\))(.*)")
LIBRARY_PRODUCTS = ("__cudnn$conv", "__cublas")
# A TPU's compiler writes memory of the host as space 5.
HOST = re.compile(r"S\(5\)|is_host_transfer=true| (?:infeed|outfeed)\(|callback")


def devices(target: str) -> Any:
    """Returns the described devices of a target.

    Raises:
      ImportError: when the compiler's package is not installed.
    """
    from jax.experimental import topologies

    if target in TPUS:
        import libtpu  # noqa: F401  (asked for by name, so that its lack is an ImportError)

        return topologies.get_topology_desc(platform="tpu", topology_name=TPUS[target]).devices
    import jax_cuda12_plugin  # noqa: F401

    return topologies.get_topology_desc(
        platform="cuda", topology_name="any", topology="1x1x1",
        target_config=CARD % CARDS[target],
    ).devices  # fmt: skip


def compile_update(args: argparse.Namespace, learners: int, precision: str) -> Any:
    """Compiles one update, its state donated, for the first device of the target."""
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from benchmarks import common

    agent = common.make_agent(args, **{"jax.precision": precision})
    c = agent.config
    lead: tuple[int, ...] = (c.batch_size, c.batch_length)
    lead = lead if learners == 1 else (learners, *lead)
    key = jax.ShapeDtypeStruct((2,) if learners == 1 else (learners, 2), np.uint32)
    init = agent.init if learners == 1 else jax.vmap(agent.init)
    place = NamedSharding(Mesh(np.array(devices(args.target)[:1]), ("x",)), PartitionSpec())

    def shaped(tree: Any) -> Any:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree)

    state, batch = shaped(jax.eval_shape(init, key)), shaped(common.make_batch(agent, lead))
    step = agent.train_step if learners == 1 else jax.vmap(agent.train_step)
    with jax.default_matmul_precision(args.products):
        return jax.jit(step, donate_argnums=0).lower(state, batch).compile()


def count(text: str) -> dict[str, Any]:
    """Counts what a compiled module launches.

    Args:
      text: of `compiled.as_text()`.

    Returns:
      Instructions of the `entry` and of the loops' bodies times their trips, both together as
      `launches`; each loop as `[trips, body]`; calls of libraries; kernels of Triton; products and
      how many of them are for tensor cores; transfers to the host; grouped convolutions. Those
      after `loops` count once, whether in a loop or not.
    """
    bodies: dict[str, Counter[str]] = {}
    constants: dict[str, list[int]] = {}
    loops: dict[str, tuple[str, str, str]] = {}  # body: where it runs, trips, condition
    entry = name = ""
    for line in text.splitlines():
        if line and not line[0].isspace() and line.rstrip().endswith("{"):
            name = line.split("(")[0].replace("ENTRY", "").strip().lstrip("%")
            entry = name if line.startswith("ENTRY") else entry
            bodies[name] = Counter()
            continue
        match = INSTRUCTION.match(line)
        if not match or not name:
            continue
        constants.setdefault(name, []).extend(map(int, CONSTANT.findall(line)))
        if match[1] == "while":
            parts = (LOOP.search(line), TRIPS.search(line), CONDITION.search(line))
            body, trips, condition = (part[1] if part else "" for part in parts)
            loops[body] = (name, trips, condition)
        elif match[1] not in FREE:
            bodies[name][match[1]] += 1

    def repeats(body: str) -> int:
        outer, trips, condition = loops[body]
        count = int(trips) if trips else max(constants.get(condition, []), default=1)
        return count * (repeats(outer) if outer in loops else 1)

    rows = sorted(((repeats(body), bodies[body].total()) for body in loops if body), reverse=True)
    inside = sum(trips * size for trips, size in rows)
    calls = Counter(_library(target) for target in CALL.findall(text))
    return {
        "launches": bodies[entry].total() + inside,
        "entry": bodies[entry].total(),
        "loops": [[trips, size] for trips, size in rows if trips * size],
        "calls": dict(calls.most_common()),
        "triton": len(re.findall(r'"kind":"__triton[^"]*"', text)),
        **_products(text),
        "host": len(HOST.findall(text)),
        "grouped_convolutions": len(GROUPED.findall(text)),
    }


def _products(text: str) -> dict[str, int]:
    """Counts products, and those whose factors have 16 bits or may be rounded to TF32."""
    types: dict[str, str] = {}
    products = tensor_cores = 0
    for line in text.splitlines():
        if defined := TYPE.match(line):
            types[defined[1]] = defined[2]
        product = PRODUCT.search(line)
        if not product:
            continue
        target = CALL.search(line)
        if target and not target[1].startswith(LIBRARY_PRODUCTS):
            continue
        products += 1
        tensor_cores += types.get(product[1]) in ("bf16", "f16") or (
            types.get(product[1]) == "f32" and "highest" not in product[2]
        )
    return {"products": products, "on_tensor_cores": tensor_cores}


def _library(target: str) -> str:
    """Returns the library that a custom call belongs to."""
    for word in ("cudnn", "cublas", "cusolver", "cub", "triton"):
        if word in target.lower():
            return word
    return target


def measure(args: argparse.Namespace, learners: int, precision: str) -> dict[str, Any]:
    """Compiles one combination and says what came out."""
    import jax

    start = time.perf_counter()
    try:
        compiled = compile_update(args, learners, precision)
    except jax.errors.JaxRuntimeError as error:  # It does not fit, say.
        return {"compiles": False, "error": str(error)[:500]}
    memory = compiled.memory_analysis()
    return {
        "compiles": True,
        "compile_s": time.perf_counter() - start,
        "arguments_mib": memory.argument_size_in_bytes / 2**20,
        "temporaries_mib": memory.temp_size_in_bytes / 2**20,
        **count(compiled.as_text()),
    }


def main() -> None:
    """Compiles every combination."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_autotune_level=0".strip()  # Needs the card.
    from benchmarks import common

    options = common.parser(__doc__)
    options.add_argument("--target", required=True, choices=[*CARDS, *TPUS])
    options.add_argument("--learners", nargs="+", type=int, default=[1])
    options.add_argument("--precision", nargs="+", default=["float32"])
    options.add_argument("--products", default="default", help="precision of float32 products")
    args = options.parse_args()
    for learners in args.learners:
        for precision in args.precision:
            row = {"target": args.target, "learners": learners, "precision": precision}
            common.show({**row, **measure(args, learners, precision)}, args.json)


if __name__ == "__main__":
    main()
