"""Comparison with the code of each base: the same parameters and batch, the same numbers.

A bundle is an `.npz` file with `meta` (JSON), `params/...`, `batch/...` and `expect/...`
(docs/parity.md). Its `meta` names the base whose module compares it. Everything is computed in
float32 with full-precision products on the CPU, unless another device or precision is asked for.
"""

from __future__ import annotations

import functools
import importlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from embodied.core.errors import UserError, nearest
from harmony_dreamerv3.interop import bundle as bundles
from harmony_dreamerv3.interop import report
from harmony_dreamerv3.interop.report import Row

# Base: the module here whose `check(bundle, jit)` gives a row for each expected tensor.
COMPARISONS = {
    "dreamerv3": "parity_2023",
    "dreamerv3_2025": "parity_2025",
    "dreamerv2": "parity_v2",
    "dreamerpro": "parity_v2",
}
# Compiles three times as fast as the default, and runs once: the products are the same.
FAST = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}


def check(path: Path, platform: str = "cpu", products: str = "highest") -> list[Row]:
    """Compares everything that a bundle expects.

    Args:
      path: the `.npz` file.
      platform: of the device that computes.
      products: precision of products, as in JAX's `default_matmul_precision`.

    Returns:
      One row for each expected tensor, in the bundle's order.

    Raises:
      UserError: for a file that is no bundle, or one that no agent can be built for.
    """
    bundle = bundles.read(path)
    if bundle.base not in COMPARISONS:
        raise UserError(
            f"{path}: meta.base: expected one of {', '.join(COMPARISONS)}, got {bundle.base!r}"
            f"{nearest(bundle.base, COMPARISONS)}"
        )
    module = importlib.import_module(f"harmony_dreamerv3.interop.{COMPARISONS[bundle.base]}")
    jit = functools.partial(jax.jit, compiler_options=_options() if platform == "cpu" else None)
    try:
        device = jax.local_devices(backend=platform)[0]
    except RuntimeError as error:
        raise UserError(f"--platform {platform}: no such device was found") from error
    try:
        with jax.default_device(device), jax.default_matmul_precision(products):
            rows: list[Row] = module.check(bundle, jit)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return rows


@functools.cache
def _options() -> dict[str, Any] | None:
    """`FAST`, or None where this version of XLA does not have these options."""
    try:
        jax.jit(lambda x: x + 1, compiler_options=FAST)(np.float32(0)).block_until_ready()
    except Exception:  # Whatever it raises, the answer is no.
        return None
    return FAST


def main(paths: list[Path], as_json: bool, platform: str, products: str) -> int:
    """Checks bundles and prints the result; see `report.show`.

    Returns:
      0 when everything is within tolerance, else 1.
    """
    results = {}
    for path in paths:
        results[str(path)] = check(path, platform, products)
        if not as_json:
            print(report.show(str(path), results[str(path)]), flush=True)
    if as_json:
        print(json.dumps({name: report.as_dict(rows) for name, rows in results.items()}, indent=1))
    return int(not all(row.ok for rows in results.values() for row in rows))
