"""How a run balanced its losses: the paper's Fig. 2b, Fig. 4 and Fig. 23 for one run folder."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embodied.core.errors import UserError
from scores.read import BadFile, read_jsonl
from scores.style import COLORS, GREY, LINES, log_axis, new_figure, styled, thousands

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEY = re.compile(
    r"train/(?:balance/(loss|weight|weighted|log_sigma|log_sigma_star)|(grad_share))/(.+)"
)
FIRST = ("observation", "reward", "dynamics")  # these look the same in every figure
START: dict[str, Any] = {
    "marker": "o", "markersize": 4, "markerfacecolor": "white", "linestyle": ""
}  # fmt: skip
END: dict[str, Any] = {"marker": "o", "markersize": 5, "linestyle": ""}
MAX_POINTS = 1000  # more than the figure has pixels for
Series = tuple[np.ndarray, np.ndarray]  # agent steps [N], values [N], both float64
Record = Mapping[str, Mapping[str, Series]]  # kind -> task -> series


def read_balance(run: Path) -> dict[str, dict[str, Series]]:
    """Reads the balance metrics of a run.

    Args:
      run: folder with `metrics.jsonl`.

    Returns:
      Kind (`loss`, `weight`, `weighted`, `log_sigma`, `log_sigma_star`, `grad_share`) -> task ->
      agent steps and values [N]. Values that are missing or not finite are left out.

    Raises:
      UserError: no such file, or no balance metrics in it.
    """
    file = run / "metrics.jsonl"
    if not file.is_file():
        seeds = sorted(path.parent.name for path in run.glob("seed-*/metrics.jsonl"))
        hint = f"; it has one folder for each seed: {', '.join(seeds)}" if seeds else ""
        raise UserError(f"{run}: expected a run folder with metrics.jsonl{hint}")
    points: dict[str, dict[str, list[tuple[float, float]]]] = {}
    try:
        for record in read_jsonl(file, pattern='"train/'):
            if isinstance(record, BadFile) or not _number(record.get("step")):
                continue  # such as the line a killed run was writing
            for key, value in record.items():
                match = KEY.fullmatch(key)
                if match and _number(value):
                    kind, task = match[1] or match[2], match[3]
                    points.setdefault(kind, {}).setdefault(task, []).append((record["step"], value))
    except BadFile as error:
        raise UserError(f"{file}: {error}") from error
    if "loss" not in points or "weight" not in points:
        keys = "train/balance/loss/<task> and train/balance/weight/<task>"
        raise UserError(f"{file}: holds no {keys}")
    return {
        kind: {task: _thin(np.array(rows, np.float64)) for task, rows in tasks.items()}
        for kind, tasks in points.items()
    }


def balance(run: Path) -> Figure:
    """Draws the loss scales and coefficients of one run folder; `style.save` writes the figure.

    Panels: losses and weights over time (Fig. 2b, Fig. 23), weighted losses, σ over its optimum
    for the current loss, the share of each head in the gradient norm, and the weight against the
    loss scale with Eq. 4 and Eq. 5 (Fig. 4).
    """
    record = read_balance(run)
    names = list(record["loss"])
    tasks = [name for name in FIRST if name in names] + sorted(set(names) - set(FIRST))
    looks = {
        task: {"color": COLORS[i % len(COLORS)], "linestyle": LINES[i // len(COLORS) % len(LINES)]}
        for i, task in enumerate(tasks)
    }
    with styled():
        figure = new_figure(9.0, 5.2)
        panels = figure.subplots(2, 3).ravel()
        _over_time(panels[0], "Loss scale", record["loss"], looks, log=True)
        _over_time(panels[1], "Weight", record["weight"], looks, log=True)
        _over_time(panels[2], "Weighted loss", record.get("weighted", {}), looks, log=True)
        _over_time(panels[3], "Learned σ / optimal σ*", _distance(record), looks, log=True)
        if panels[3].lines:
            panels[3].axhline(1, color=GREY, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        shares = record.get("grad_share", {})
        whose = f"{next(iter(shares)).capitalize()}'s share" if len(shares) == 1 else "Shares"
        least = min((values[values > 0].min(initial=1) for _, values in shares.values()), default=1)
        # Of a head whose share is below a twentieth a linear axis would show a line at 0.
        _over_time(panels[4], f"{whose} of gradient norm", shares, looks, log=least < 0.05)
        panels[4].set_ylim(None if shares and least < 0.05 else 0, 1)
        panels[4].yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
        _weight_against_loss(panels[5], record, looks)
        for axes, letter in zip(panels, "abcdef"):
            axes.set_title(f"({letter})  {axes.get_title()}", loc="left", fontweight="bold")
            axes.set_title("")
        handles = [panels[0].plot([], [], linewidth=2, **looks[task])[0] for task in tasks]
        figure.legend(handles, tasks, loc="outside upper center", ncols=min(len(tasks), 6))
    return figure


def weight_of(loss: np.ndarray, rectified: bool) -> np.ndarray:
    """Returns the optimal weight 1/σ* of a loss scale: Eq. 13 if rectified, else Prop. 3.1."""
    return 2 / (loss + np.sqrt(loss**2 + 4 * loss)) if rectified else 1 / loss


def _over_time(
    axes: Axes, title: str, tasks: Mapping[str, Series], looks: Mapping[str, Any], log: bool = False
) -> None:
    axes.set_title(title)
    axes.set_xlabel("Agent steps")
    axes.xaxis.set_major_formatter(lambda value, _: thousands(value))
    axes.locator_params(axis="x", nbins=5)
    curves = {task: tasks[task] for task in looks if task in tasks}
    for task, (steps, values) in curves.items():
        if log:
            values = np.where(values > 0, values, np.nan)
        smooth = _smooth(values)
        if not np.allclose(smooth, values, rtol=0.01, equal_nan=True):
            axes.plot(steps, values, linewidth=0.6, alpha=0.28, **looks[task])
        axes.plot(steps, smooth, linewidth=1.6, **looks[task])
    if not curves:
        axes.text(0.5, 0.5, "not in this run", transform=axes.transAxes, ha="center", color=GREY)
        axes.set_xticks([])
        axes.set_yticks([])
    elif log:
        log_axis(axes)


def _distance(record: Record) -> dict[str, Series]:
    """Returns σ/σ* for each task that has both."""
    stars = record.get("log_sigma_star", {})
    return {
        task: (steps, np.exp(logs - stars[task][1]))
        for task, (steps, logs) in record.get("log_sigma", {}).items()
        if task in stars and len(stars[task][1]) == len(logs)
    }


def _weight_against_loss(axes: Axes, record: Record, looks: Mapping[str, Any]) -> None:
    axes.set_title("Weight against loss scale")
    axes.set_xlabel("Loss scale")
    sample = np.concatenate([values for _, values in record["loss"].values()])
    sample = sample[sample > 0]
    low, high = (min(1e-3, sample.min()), max(1e3, sample.max())) if len(sample) else (1e-3, 1e3)
    scale = np.geomspace(low / 2, 2 * high, 200)
    for rectified, line, label in ((True, "-", "rectified, Eq. 5"), (False, ":", "1/L, Eq. 4")):
        weight = weight_of(scale, rectified)
        axes.plot(scale, weight, color="black", linewidth=1.1, linestyle=line, label=label)
    for task, look in looks.items():
        if task not in record["weight"]:
            continue
        loss, weight = record["loss"][task][1], record["weight"][task][1]
        if len(weight) != len(loss) or not np.all(weight > 0):
            continue
        loss, weight = _smooth(loss), _smooth(weight)
        axes.plot(loss, weight, linewidth=1.2, alpha=0.6, **look)
        axes.plot(loss[:1], weight[:1], color=look["color"], **START)
        axes.plot(loss[-1:], weight[-1:], color=look["color"], **END)
    axes.plot([], [], color=GREY, label="start", **START)
    axes.plot([], [], color=GREY, label="end", **END)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.legend(fontsize=7, loc="upper right")


def _thin(rows: np.ndarray) -> Series:
    """Averages runs of points, so that at most MAX_POINTS are left."""
    size = math.ceil(len(rows) / MAX_POINTS)
    starts = np.arange(0, len(rows), size)
    counts = np.diff([*starts, len(rows)])
    mean = np.add.reduceat(rows, starts) / counts[:, None]
    return mean[:, 0], mean[:, 1]


def _smooth(values: np.ndarray) -> np.ndarray:
    """Returns the mean over a centred twentieth of the points, shorter at the ends."""
    reach = len(values) // 40
    known = np.isfinite(values)
    total = np.cumsum([0.0, *np.where(known, values, 0)])
    count = np.cumsum([0, *known])
    index = np.arange(len(values))
    low, high = np.maximum(index - reach, 0), np.minimum(index + reach + 1, len(values))
    sample = count[high] - count[low]
    mean = (total[high] - total[low]) / np.maximum(sample, 1)
    return np.where(sample > 0, mean, np.nan)


def _number(value: Any) -> bool:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return good and math.isfinite(value)
