"""What an analysis found, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embodied.records.text import columns


def describe(result: Mapping[str, Any]) -> str:
    """Returns a table of `analysis.json`, a row for each method, and what to know about it."""
    reward, options = result["reward"], result["options"]
    sparse = result["reward_scale"]["sparse"]
    titles = {"reward MSE": "mse", "right": "right"}
    if sparse:
        titles |= {"MSE, paying steps": "rewarding_mse", "precision": "precision"}
        titles |= {"recall": "recall"}
    states = [(key, where) for key in result["state"] for where in ("observed", "predicted")]
    head = ["method", *titles, *(f"R² of {key}, {where}" for key, where in states)]
    rows = [head]
    for name, estimates in {**reward["methods"], "(mean reward)": reward["constant"]}.items():
        row = [name, *(estimate(estimates[key]) for key in titles.values())]
        for key, where in states:
            scores = result["state"][key].get(name)
            row.append(number(scores[where]["r2"]) if scores else "")
        rows.append(row)
    lines = columns(rows)
    paying = f", {reward['rewarding_steps']:,} of them paying" if sparse else ""
    lines.append(
        f"after {options['observed']} observed steps, over {options['predicted']} predicted ones: "
        f"{reward['predicted_steps']:,} held-out steps{paying}; right within "
        f"{result['reward_scale']['tolerance']:.3g}; 95% intervals over seeds and episodes"
    )
    for name, tasks in result["sigma"].items():
        if tasks:
            distances = ", ".join(
                f"{task} {estimates['distance']:+.2f}" for task, estimates in tasks.items()
            )
            lines.append(f"{name}: log σ - log σ* at the end: {distances}")
    return "\n".join(lines)


def estimate(numbers: Mapping[str, float | None]) -> str:
    """Returns `mean [low, high]`."""
    if numbers["low"] is None:
        return number(numbers["mean"])
    return f"{number(numbers['mean'])} [{number(numbers['low'])}, {number(numbers['high'])}]"


def number(value: float | None) -> str:
    """Returns three digits, or a dash."""
    return "–" if value is None else f"{value:.3g}"
