"""The strip: true and predicted frames of one window, and its rewards step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scores.style import GREY, look, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, WRONG = "#009E73", "#D55E00"
SIDE = 0.72  # Inches of a frame.


def strip(result: Mapping[str, Any], frames: Mapping[str, np.ndarray]) -> Figure:
    """Draws true, model and error rows with rewards labelled right or wrong (App. C.4, Fig. 3).

    Args:
      result: what `analysis.json` holds.
      frames: uint8 `[N, H, W, C]` under `true` and `model/<method>`; none for vectors alone,
        whose figure has the rewards only.
    """
    facts, observed = result["strip"], result["options"]["strip"][0]
    tolerance = result["reward_scale"]["tolerance"]
    methods = list(facts["predicted"])
    rows = [("true", "true", frames["true"])] if frames else []
    for name in methods:
        if f"model/{name}" in frames:
            model = frames[f"model/{name}"]
            error = (model.astype(np.int16) - frames["true"] + 255) // 2
            rows += [(name, f"{name}\nmodel", model), ("", "error", error.astype(np.uint8))]
    columns = len(facts["shown"])
    timeline = 0.75
    with styled():
        width = max(6.0, 1.2 + (SIDE + 0.06) * columns)
        figure = new_figure(width, (SIDE + 0.2) * len(rows) + timeline * len(methods) + 0.9)
        parts = figure.subfigures(
            2 if rows else 1, 1, squeeze=False,
            height_ratios=[(SIDE + 0.2) * len(rows), timeline * len(methods) + 0.7]
            if rows else None,
        )[:, 0]  # fmt: skip
        if rows:
            _frames(parts[0], rows, facts, observed, tolerance)
        _timelines(parts[-1], facts, observed, tolerance)
        wrong = f"nearer than {tolerance:.3g} counts as right"
        figure.suptitle(
            f"{result['task']}: {observed} steps observed, "
            f"{result['options']['strip'][1]} predicted; a reward {wrong}", fontsize=8,
        )  # fmt: skip
    return figure


def _frames(
    figure: Any, rows: list[tuple[str, str, np.ndarray]], facts: Mapping[str, Any],
    observed: int, tolerance: float,
) -> None:  # fmt: skip
    """Draws the frames; under those of the truth and of models stands the reward."""
    grid = figure.subplots(len(rows), len(facts["shown"]), squeeze=False)
    for (name, label, images), line in zip(rows, grid):
        for axes, image, step in zip(line, images, facts["shown"]):
            grey = image.shape[-1] == 1
            axes.imshow(image[..., 0] if grey else image, cmap="gray", vmin=0, vmax=255)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.grid(False)
            for spine in axes.spines.values():
                spine.set_visible(True)
                spine.set_color(GREY if step < observed else "black")
                spine.set_linestyle(":" if step < observed else "-")
            true = facts["reward"][step]
            if name == "true":
                axes.set_title(f"t = {step}", fontsize=7, pad=2)
                axes.set_xlabel(f"{true:.3g}", fontsize=6.5, labelpad=1)
            elif name:
                guess = facts["predicted"][name][step]
                right = abs(guess - true) < tolerance
                axes.set_xlabel(
                    f"{guess:.2f} {'✓' if right else '✗'}", fontsize=6.5, labelpad=1,
                    color=RIGHT if right else WRONG,
                )  # fmt: skip
        line[0].set_ylabel(label, fontsize=7, rotation=0, ha="right", va="center")


def _timelines(figure: Any, facts: Mapping[str, Any], observed: int, tolerance: float) -> None:
    """Draws true and predicted reward of every step, one row for each method."""
    true = np.array(facts["reward"])
    steps = np.arange(len(true))
    methods = list(facts["predicted"].items())
    panels = figure.subplots(len(methods), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    for index, (axes, (name, values)) in enumerate(zip(panels, methods)):
        guess = np.array(values)
        right = np.abs(guess - true) < tolerance
        _observed(axes, observed, len(true))
        axes.step(steps, true, where="mid", color="black", linewidth=1.0, label="true reward")
        axes.plot(steps, guess, color=look(index)["color"], linewidth=0.9, alpha=0.7)
        axes.plot(steps[right], guess[right], "o", color=RIGHT, markersize=3, label="right")
        axes.plot(steps[~right], guess[~right], "X", color=WRONG, markersize=5, label="wrong")
        axes.set_ylabel(name, fontsize=7)
        axes.margins(x=0.01, y=0.15)
    panels[-1].set_xlabel("Step of the window (shaded: observed)")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=7
    )


def _observed(axes: Axes, observed: int, length: int) -> None:
    axes.axvspan(-0.5, min(observed, length) - 0.5, color="#ececec", linewidth=0)
