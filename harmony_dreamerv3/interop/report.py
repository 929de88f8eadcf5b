"""Comparing tensors with expected ones, and saying how it went."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

TOLERANCE = 1e-4
GRAD_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class Row:
    """One compared tensor."""

    name: str  # name in the bundle, without `expect/`
    max_abs: float  # largest absolute difference; infinite where it cannot be told
    max_rel: float  # the same relative to the largest expected magnitude
    ok: bool  # whether it is within tolerance
    note: str = ""  # why not, where the numbers do not say it


def compare(name: str, expected: np.ndarray, actual: Mapping[str, np.ndarray]) -> Row:
    """Compares one expected tensor with what was computed.

    Within tolerance is max|a - b| <= 1e-4 max|b|, and 1e-3 for gradients (`grads.../...`).

    Args:
      name: of the tensor.
      expected: b.
      actual: a, by name.
    """
    if name not in actual:
        return Row(name, math.inf, math.inf, False, "nothing of this name is computed")
    a, b = actual[name].astype(np.float64), expected.astype(np.float64)
    if a.shape != b.shape:
        return Row(name, math.inf, math.inf, False, f"shape {a.shape}, expected {b.shape}")
    if not np.isfinite(b).all():
        return Row(name, math.inf, math.inf, False, "the bundle's numbers are not finite")
    if not np.isfinite(a).all():
        return Row(name, math.inf, math.inf, False, "our numbers are not finite")
    worst = float(np.abs(a - b).max(initial=0.0))
    size = float(np.abs(b).max(initial=0.0))
    tolerance = GRAD_TOLERANCE if name.startswith("grads") else TOLERANCE
    relative = worst / size if size else (math.inf if worst else 0.0)
    return Row(name, worst, relative, worst <= tolerance * size)


def as_dict(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows as plain dictionaries; infinities become None, as JSON has none."""

    def plain(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return [{k: plain(v) for k, v in dataclasses.asdict(row).items()} for row in rows]


def show(title: str, rows: list[Row]) -> str:
    """Rows as an aligned table under a title, and the worst offenders below it."""
    width = max((len(row.name) for row in rows), default=4)
    lines = [title, f"{'name':<{width}}  {'max abs':>9}  {'max rel':>9}  verdict"]
    for row in rows:
        verdict = "ok" if row.ok else f"FAIL {row.note}".rstrip()
        lines.append(f"{row.name:<{width}}  {row.max_abs:9.2e}  {row.max_rel:9.2e}  {verdict}")
    failures = sorted((row for row in rows if not row.ok), key=lambda row: -row.max_rel)
    verdict = "all within tolerance"
    if failures:
        names = ", ".join(row.name for row in failures[:5])
        verdict = f"{len(failures)} outside tolerance; the worst: {names}"
    lines.append(f"{len(rows)} tensors compared, {verdict}\n")
    return "\n".join(lines)
