"""Setting up JAX: platform, precision, compilation cache, meshes of devices."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np

from embodied.core.errors import UserError
from harmony_dreamerv3.config import JaxConfig
from harmony_dreamerv3.runtime import memory, multihost

PLATFORMS = {"auto": "", "cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}
PRECISIONS = ("float32", "bfloat16", "float64")
PRODUCTS = ("highest", "default", "tensorfloat32")
DETERMINISTIC = "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0"


def setup(config: JaxConfig) -> list[jax.Device]:
    """Applies the block `jax` of the configuration, before any computation; returns the devices.

    Raises:
      UserError: for an unknown value, or a platform that is not there.
    """
    _check("platform", config.platform, tuple(PLATFORMS))
    _check("precision", config.precision, PRECISIONS)
    _check("matmul_precision", config.matmul_precision, PRODUCTS)
    if not config.prealloc:
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    flags = os.environ.get("XLA_FLAGS", "")
    if config.deterministic and DETERMINISTIC not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {DETERMINISTIC}".strip()
    if config.platform in ("auto", "cpu"):
        memory.keep()
    if config.platform != "auto":
        jax.config.update("jax_platforms", PLATFORMS[config.platform])
    jax.config.update("jax_default_matmul_precision", config.matmul_precision)
    jax.config.update("jax_enable_x64", config.precision == "float64")
    jax.config.update("jax_debug_nans", config.debug_nans)
    if config.cache:
        use_cache()
    multihost.join(config)
    try:
        return jax.local_devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts that a plugin was installed
        extra = {"gpu": "cuda", "tpu": "tpu"}.get(config.platform)
        hint = f"; install it with: pip install 'harmony-dreamerv3[{extra}]'" if extra else ""
        reason = "".join(f" ({line})" for line in str(error).splitlines()[:1])
        raise UserError(
            f"--jax.platform {config.platform}: no such device was found{hint}, or use "
            f"--jax.platform cpu{reason}"
        ) from error


def use_cache(folder: Path | None = None) -> None:
    """Keeps compiled programs on disk; where that cannot be, says so and goes on without.

    The folder is `$JAX_COMPILATION_CACHE_DIR`, or in the user's cache directory, unless given.
    """
    try:
        chosen = folder or os.environ.get("JAX_COMPILATION_CACHE_DIR")
        caches = os.environ.get("XDG_CACHE_HOME")
        path = Path(chosen or (Path(caches or Path.home() / ".cache") / "harmony_dreamerv3/jax"))
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(f"permission denied: {path}")
    except (OSError, RuntimeError) as error:  # A RuntimeError: this user has no home.
        print(f"compiled programs are not kept: {error}", file=sys.stderr)
        jax.config.update("jax_compilation_cache_dir", None)  # JAX would try, and warn each time.
        return
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def machine() -> str:
    """Describes what the last digits of results depend on: devices, threads of a CPU, versions."""
    device = jax.local_devices()[0]
    kind = f"{jax.device_count()} {device.device_kind} ({device.platform})"
    if device.platform == "cpu":
        # XLA splits sums over the processors that it may use when it starts.
        usable = getattr(os, "sched_getaffinity", None)
        kind += f", {len(usable(0)) if usable else os.cpu_count()} processors"
    return f"{kind}, jax {jax.__version__}, jaxlib {jaxlib.__version__}"


def mesh(population: int, data: int) -> jax.sharding.Mesh:
    """Lays out devices of all processes: `population` share learners, `data` each one's windows.

    Raises:
      UserError: when there are fewer devices.
    """
    devices = jax.devices()
    if population * data > len(devices):
        raise UserError(
            f"jax.population_devices x jax.data_devices = {population * data} devices asked "
            f"for, {len(devices)} found: {', '.join(map(str, devices))}"
        )
    grid = np.array(devices[: population * data]).reshape(population, data)
    auto = jax.sharding.AxisType.Auto
    return jax.sharding.Mesh(grid, ("population", "data"), axis_types=(auto, auto))


def check_memory(state: Any, shares: int) -> None:
    """Refuses states that no device could hold; XLA on CPUs would wait for ever for that memory.

    `state` are arrays or their shapes, of all learners, which `shares` devices share equally.
    """
    need = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)) / shares
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        need *= shares  # All devices have the same memory.
        have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    else:
        have = (device.memory_stats() or {}).get("bytes_limit", math.inf)
    if need > have:
        raise UserError(
            f"parameters and optimizers take {need / 1e9:,.1f} GB on {device.device_kind}, which "
            f"has {have / 1e9:,.1f} GB: choose smaller networks, or fewer seeds for each device"
        )


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Turns what a device without memory left raises into an error for people."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError(
            f"the device has no memory left ({str(error).splitlines()[0]}): choose smaller "
            "networks or batches, fewer seeds for each device, or --jax.device_replay False"
        ) from error


def _check(key: str, value: str, options: tuple[str, ...]) -> None:
    if value not in options:
        raise UserError(f"jax.{key}: expected one of {', '.join(options)}, got {value!r}")
