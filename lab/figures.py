"""Figures of an analysis, from its records alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lab import files, strip_figure
from scores.style import COLORS, GREY, log_axis, look, new_figure, save, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Record = dict[str, Any]
TASKS = ("observation", "reward", "dynamics")  # These come first.


def draw(folder: Path) -> list[Path]:
    """Draws all figures of an analysis into its folder.

    Returns:
      The files that were written.

    Raises:
      UserError: when the folder holds no analysis.
    """
    result, updates, frames = files.read(folder)
    figures = {"reward_error.png": reward_error(result), "training.png": training(result, updates)}
    if result["state"]:
        figures["state.png"] = state(result)
    figures["strip.png"] = strip_figure.strip(result, frames)
    for name, figure in figures.items():
        save(figure, folder / name)
    return [folder / name for name in figures]


def reward_error(result: Record) -> Figure:
    """Reward error over predicted steps, and where the reward was found (App. E.10)."""
    reward, sparse = result["reward"], result["reward_scale"]["sparse"]
    observed, methods = result["options"]["observed"], reward["methods"]
    with styled():
        figure = new_figure(7.6 if sparse else 4.6, 2.7)
        panels = figure.subplots(1, 3 if sparse else 1, squeeze=False)[0]
        _by_step(panels[0], reward, "mse_by_step", observed)
        panels[0].set_title("All steps")
        if sparse:
            _by_step(panels[1], reward, "rewarding_mse_by_step", observed)
            panels[1].set_title(f"Paying steps ({reward['rewarding_steps']:,})")
            _found(panels[2], methods)
        _letters(panels)
        panels[0].set_ylabel("Squared error of the reward")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


def _by_step(axes: Axes, reward: Record, key: str, observed: int) -> None:
    """Draws one error curve for each method; what the mean reward would give in grey."""
    for index, (name, estimates) in enumerate(reward["methods"].items()):
        mean, low, high = _columns(estimates[key])
        steps = np.arange(1, len(mean) + 1)
        style = look(index)
        axes.plot(steps, mean, label=name, linewidth=1.4, markersize=3, **style)
        axes.fill_between(steps, low, high, color=style["color"], alpha=0.18, linewidth=0)
    constant = _columns(reward["constant"][key])[0]
    axes.plot(
        np.arange(1, len(constant) + 1), constant, color=GREY, linewidth=0.9, linestyle=":",
        label="always the mean reward",
    )  # fmt: skip
    axes.set_xlabel(f"Steps predicted after {observed} observed")
    axes.set_xlim(0.5, len(constant) + 0.5)
    axes.locator_params(axis="x", integer=True, nbins=6)
    axes.set_ylim(bottom=0)


def _found(axes: Axes, methods: Record) -> None:
    """Draws precision and recall of reward with intervals."""
    for index, estimates in enumerate(methods.values()):
        for place, key in enumerate(("precision", "recall")):
            (mean,), (low,), (high,) = _columns([estimates[key]])
            shift = (index - (len(methods) - 1) / 2) * 0.6 / len(methods)
            style = look(index)
            if np.isnan(mean):
                axes.text(place + shift, 0.02, "none\nsaid", ha="center", color=style["color"],
                          fontsize=6)  # fmt: skip
                continue
            bounds = [[mean - low], [high - mean]] if np.isfinite(low) else None
            axes.errorbar(
                [place + shift], [mean], yerr=bounds, color=style["color"],
                marker=style["marker"], markersize=4.5, linewidth=1.2, capsize=2,
            )  # fmt: skip
    axes.set_xticks([0, 1], ["precision", "recall"])
    axes.set_xlim(-0.5, 1.5)
    axes.set_ylim(-0.02, 1.02)
    axes.set_title("Was there reward?")


def state(result: Record) -> Figure:
    """R² of the true state regressed from latents (Fig. 2c), each seed a point."""
    keys, methods = list(result["state"]), list(result["reward"]["methods"])
    with styled():
        figure = new_figure(1.2 + 2.6 * len(keys), 2.6)
        panels = figure.subplots(1, len(keys), squeeze=False)[0]
        for axes, key in zip(panels, keys):
            _regression(axes, result["state"][key], methods)
            axes.set_title(f"True {key} from latents")
        panels[0].set_ylabel("R² on held-out data")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def _regression(axes: Axes, fits: Record, methods: Sequence[str]) -> None:
    lowest, places = 0.0, ("observed", "predicted")
    for index, name in enumerate(methods):
        style = look(index)
        for place, where in enumerate(places):
            value = fits[name][where]["r2"]
            seeds = [r2 for r2 in fits[name][where]["r2_by_seed"] if r2 is not None]
            if value is None:
                continue
            width = 0.7 / len(methods)
            x = place + (index - (len(methods) - 1) / 2) * width
            label = name if place == 0 else None
            axes.bar(x, max(value, -1), 0.9 * width, color=style["color"], alpha=0.75, label=label)
            axes.plot([x] * len(seeds), np.maximum(seeds, -1), "o", color="black", markersize=2.5)
            at, align = (max(value, *seeds, 0), "bottom")
            axes.text(x, at + 0.02, f"{value:.2f}", ha="center", va=align, fontsize=7)
            lowest = min(lowest, *seeds, value)
    axes.axhline(0, color="black", linewidth=0.7)
    axes.set_xticks(range(len(places)), ["steps observed", "steps predicted"])
    axes.set_ylim(max(-1.05, 1.1 * lowest), 1.1)


def training(result: Record, updates: Sequence[Record]) -> Figure:
    """Unweighted losses over updates, and log σ - log σ* below, where a method has it."""
    methods = list(result["reward"]["methods"])
    prefix = "balance/log_sigma_star/"
    present = {
        key.removeprefix(prefix) for line in updates for key in line if key.startswith(prefix)
    }
    tasks = [name for name in TASKS if name in present] + sorted(present - set(TASKS))
    with styled():
        down, across = (2 if tasks else 1), max(len(LOSSES), len(tasks))
        figure = new_figure(2.1 * across + 0.4, 1.75 * down + 0.5)
        panels = figure.subplots(down, across, squeeze=False)
        for axes in panels.ravel()[len(LOSSES) :]:
            axes.set_visible(False)
        for axes, (title, read) in zip(panels[0], LOSSES.items()):
            _curves(axes, updates, methods, read)
            log_axis(axes)
            axes.set_title(title)
        for axes, task in zip(panels[-1], tasks):
            axes.set_visible(True)
            _curves(axes, updates, methods, _distance(task))
            axes.axhline(0, color=GREY, linewidth=0.9, linestyle=(0, (4, 2)))
            axes.set_title(f"{task}: log σ − log σ*")
        for axes in panels.ravel():
            axes.locator_params(axis="x", nbins=4)
        figure.supxlabel("Updates", fontsize=8)
        handles = [panels[0, 0].plot([], [], label=name, color=COLORS[i % len(COLORS)])[0]
                   for i, name in enumerate(methods)]  # fmt: skip
        figure.legend(handles, methods, loc="outside upper center", ncols=4)
    return figure


def _observation(line: Record) -> float:
    """Sum of the losses of all observations."""
    others = ("model", "reward", "cont", "discount", "dyn", "rep")
    names = {f"loss/{name}" for name in others}
    return sum(v for k, v in line.items() if k.startswith("loss/") and k not in names)


# As every method has them: tasks of the same name weigh their losses differently.
LOSSES: dict[str, Callable[[Record], float | None]] = {
    "Observation loss": _observation,
    "Reward loss": lambda line: line["loss/reward"],
    "Dynamics loss (KL)": lambda line: line["loss/dyn"],
    # DreamerV2 predicts a discount, or nothing of the kind.
    "Continue loss": lambda line: line.get("loss/cont", line.get("loss/discount")),
}


def _distance(task: str) -> Callable[[Record], float | None]:
    def read(line: Record) -> float | None:
        log = line.get(f"balance/log_sigma/{task}")
        return None if log is None else log - line[f"balance/log_sigma_star/{task}"]

    return read


def _curves(
    axes: Axes,
    updates: Sequence[Record],
    methods: Sequence[str],
    read: Callable[[Record], float | None],
) -> None:
    """Draws each seed thinly and their mean."""
    for index, name in enumerate(methods):
        curves: dict[int, list[tuple[int, float]]] = {}
        for line in updates:
            value = read(line) if line["method"] == name else None
            if value is not None:
                curves.setdefault(line["seed"], []).append((line["update"], value))
        if not curves:
            continue
        color = COLORS[index % len(COLORS)]
        length = min(len(points) for points in curves.values())
        every = np.array([points[:length] for points in curves.values()])
        if len(every) > 1:
            for points in every:
                axes.plot(points[:, 0], points[:, 1], color=color, linewidth=0.6, alpha=0.4)
        axes.plot(every[0, :, 0], every[:, :, 1].mean(0), color=color, linewidth=1.4)


def _columns(estimates: Sequence[Mapping[str, float | None]]) -> list[np.ndarray]:
    """Returns means, lower and upper bounds, NaN where there is none."""
    return [
        np.array([np.nan if e[key] is None else e[key] for e in estimates], float)
        for key in ("mean", "low", "high")
    ]


def _letters(panels: Sequence[Axes]) -> None:
    if len(panels) > 1:
        for axes, letter in zip(panels, "abcdef"):
            axes.set_title(f"({letter})  {axes.get_title()}", loc="left", fontweight="bold")
            axes.set_title("")
