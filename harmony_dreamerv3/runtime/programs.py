"""What one program does for N members: map, gather their windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from harmony_dreamerv3.runtime import device_replay


def each(function: Callable, size: int, mesh: Mesh) -> Callable:
    """Maps a function over members; one member runs without `vmap`, whose batching could cost.

    Over several devices each maps over its own members. Left to the partitioner, convolutions
    of one member after another would be computed on every device.

    Returns:
      The same, with a leading axis `[N]` of every argument and result.
    """
    if size > 1:
        mapped, ours = jax.vmap(function), P("population")
        if mesh.shape["population"] == 1:
            return mapped
        return jax.shard_map(
            mapped, mesh=mesh, in_specs=ours, out_specs=ours,
            axis_names={"population"}, check_vma=False,
        )  # fmt: skip

    def single(*args: Any) -> Any:
        out = function(*jax.tree.map(lambda x: x[0], args))
        return jax.tree.map(lambda x: x[None], out)

    return single


def seldom() -> dict[str, int]:
    """Options of compiling what runs seldom: on CPUs LLVM takes longer than these programs."""
    return {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else {}


def gather(stores: Sequence[Mapping[str, jax.Array]], index: Any, first: Any) -> Any:
    """The batches `[N, B, T, ...]` of N stores; `index` and `first` are `[N, B, T]`."""
    batches = [device_replay.gather(store, index[n], first[n]) for n, store in enumerate(stores)]
    return jax.tree.map(lambda *xs: jnp.stack(xs), *batches)
