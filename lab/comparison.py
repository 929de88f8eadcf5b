"""The small comparison of methods: raw records, figures and table of docs/results.md.

    python -m lab.comparison collect SWEEP docs/results/distract
    python -m lab.comparison draw docs/results/distract

`collect` copies what the figures need from the run folders of a sweep: the evaluations of
`episodes.jsonl`, and of `metrics.jsonl` the losses, weights and the reward's share of the gradient.
`draw` writes `learning.png`, `balance.png` and `table.md` beside them.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from harmony_dreamerv3.verbs import training
from scores import stats
from scores.style import COLORS, GREY, log_axis, new_figure, save, styled

KEPT = ("train/loss/", "train/balance/", "train/grad_share/", "train/policy_entropy")
BASELINE = "dreamerv3"
ORDER = (
    "dreamerv3", "wr10", "wr100", "harmony", "wd1", "unrectified", "uncertainty", "dwa",
    "nashmtl", "reciprocal",
)  # fmt: skip
TASKS = ("observation", "reward", "dynamics")
# Panel -> task, loss. dyn and rep are one KL: alpha and 1 - alpha of it.
LOSSES = {"image": ("observation", "image"), "reward": ("reward", "reward"),
          "KL (dyn)": ("dynamics", "dyn")}  # fmt: skip
ALPHA = 5 / 6
Run = Mapping[str, Any]  # `episodes`, `metrics`: lists of records
Series = Callable[[Run], tuple[np.ndarray, np.ndarray]]


def collect(sweep: Path, out: Path) -> None:
    """Copies the records of every finished run of a sweep to `out/<method>-<seed>/`."""
    for path in sorted(sweep.rglob("config.yaml")):
        config = training.read_config(path.parent)
        lines = _read(path.parent / "episodes.jsonl")
        if not any(e["mode"] == "eval" and e["step"] == config.run.steps for e in lines):
            print(f"{path.parent}: not finished, left out")
            continue
        folder = out / f"{config.method}-{config.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        evals = [{k: e[k] for k in ("mode", "step", "return", "seed")}
                 for e in lines if e["mode"] == "eval"]  # fmt: skip
        metrics = [
            {k: _short(v) for k, v in m.items() if k in ("step", "updates") or k.startswith(KEPT)}
            for m in _read(path.parent / "metrics.jsonl") if any(k.startswith(KEPT) for k in m)
        ]  # fmt: skip
        for name, records in (("episodes", evals), ("metrics", metrics)):
            text = "".join(json.dumps(record) + "\n" for record in records)
            (folder / f"{name}.jsonl").write_text(text)


def load(folder: Path) -> dict[str, list[Run]]:
    """Reads what `collect` wrote: method -> its runs, in the order of their seeds."""
    found: dict[str, list[Run]] = {}
    paths = folder.glob("*-*/episodes.jsonl")
    for path in sorted(paths, key=lambda path: int(path.parent.name.rpartition("-")[2])):
        method = path.parent.name.rpartition("-")[0]
        run = {"episodes": _read(path), "metrics": _read(path.with_name("metrics.jsonl"))}
        found.setdefault(method, []).append(run)
    if BASELINE not in found:
        raise SystemExit(f"{folder} holds no run of {BASELINE}, which the others are compared with")
    known = {method: index for index, method in enumerate(ORDER)}
    return {m: found[m] for m in sorted(found, key=lambda m: (known.get(m, len(ORDER)), m))}


def returns(run: Run) -> dict[int, float]:
    """Mean return of each evaluation by its agent step."""
    steps = sorted({e["step"] for e in run["episodes"]})
    return {
        step: float(np.mean([e["return"] for e in run["episodes"] if e["step"] == step]))
        for step in steps
    }


def interval(values: Sequence[float]) -> stats.Estimate:
    """Mean over seeds with its 95% interval by Student's t; a bootstrap of five is too narrow."""
    mean, size = float(np.mean(values)), len(values)
    if size < 2:
        return stats.Estimate(mean, math.nan, math.nan)
    half = special.stdtrit(size - 1, 0.975) * np.std(values, ddof=1) / math.sqrt(size)
    return stats.Estimate(mean, mean - half, mean + half)


def difference(values: Sequence[float], base: Sequence[float]) -> stats.Estimate:
    """Difference of two means over seeds with its 95% interval by Welch's t."""
    mean = float(np.mean(values) - np.mean(base))
    if min(len(values), len(base)) < 2:
        return stats.Estimate(mean, math.nan, math.nan)
    parts = [np.var(x, ddof=1) / len(x) for x in (values, base)]
    spread = sum(part**2 / (len(x) - 1) for part, x in zip(parts, (values, base)))
    freedom = sum(parts) ** 2 / spread if spread else 1.0
    half = special.stdtrit(freedom, 0.975) * math.sqrt(sum(parts))
    return stats.Estimate(mean, mean - half, mean + half)


def series(run: Run, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Updates and values of a metric."""
    points = [(m["updates"], m[key]) for m in run["metrics"] if key in m and m["updates"]]
    return np.array([p[0] for p in points]), np.array([p[1] for p in points])


def draw_learning(runs: Mapping[str, list[Run]]) -> Any:
    """A panel for each method, its curve with 95% interval over the baseline's; then all ends."""
    others = [method for method in runs if method != BASELINE]
    columns = min(5, len(others) + 1)
    rows = math.ceil((len(others) + 1) / columns)
    figure = new_figure(max(1.5 * columns, 5), 1.5 * rows + (0.3 if rows > 1 else 1))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(others) + 1 :]:
        axis.set_visible(False)
    for axis, method in zip(axes, others):
        for name, color in ((BASELINE, GREY), (method, COLORS[0])):
            curves = [returns(run) for run in runs[name]]
            steps = list(curves[0])
            points = [interval([curve[step] for curve in curves]) for step in steps]
            axis.plot(steps, [p.value for p in points], color=color)
            low, high = [p.low for p in points], [p.high for p in points]
            axis.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)
        axis.set_title(f"{method} (n = {len(runs[method])})")
        if len(others) == 1:
            axis.set_xlabel(f"Agent steps; grey: {BASELINE}")
            axis.set_ylabel("Evaluation return")
    limits = [axis.get_ylim() for axis in axes[: len(others)]]
    for axis in axes[: len(others)]:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    ends = axes[len(others)]
    for row, (method, members) in enumerate(runs.items()):
        final = [list(returns(run).values())[-1] for run in members]
        color = GREY if method == BASELINE else COLORS[0]
        ends.plot(final, [row] * len(final), ".", color=color, alpha=0.5, markersize=4)
        end = interval(final)
        ends.plot([end.low, end.high], [row + 0.3] * 2, color=color, linewidth=1)
        ends.plot(end.value, row + 0.3, "o", color=color, markersize=2.5)
    ends.set_yticks(range(len(runs)), list(runs), fontsize=8 if len(others) == 1 else 5)
    ends.set_ylim(len(runs) - 0.4, -0.5)
    ends.set_title("Last, every seed")
    if len(others) > 1:
        figure.supxlabel(f"Agent steps; grey: {BASELINE}", fontsize=8)
        figure.supylabel("Evaluation return", fontsize=8)
    return figure


def draw_balance(runs: Mapping[str, list[Run]]) -> Any:
    """Losses, their weights, σ/σ* and the reward's share of the gradient over the updates.

    A line is the geometric mean over a method's seeds; the last row has a line for each run.
    """
    figure = new_figure(7.5, 7.5)
    axes = figure.subplots(4, 3, sharex=True)
    panels: list[tuple[str, Series]] = [
        (f"Loss, {name}", _named(f"train/loss/{key}"))
        for name, key in (("image", "image"), ("reward", "reward"), ("KL", "dyn"))
    ]
    panels += [(f"Weight of {key}", functools.partial(_weight, key)) for key in LOSSES]
    panels += [(f"σ / σ*, {task}", functools.partial(_sigma_ratio, task)) for task in TASKS]
    for axis, (title, values) in zip(axes.ravel(), panels):
        for index, members in enumerate(runs.values()):
            curves = [values(run) for run in members]
            size = min(len(y) for _, y in curves)
            if size:
                logs = [np.log(np.maximum(y[:size], 1e-12)) for _, y in curves]
                axis.plot(curves[0][0][:size], np.exp(np.mean(logs, 0)), **_line(index))
        log_axis(axis)
        axis.set_title(title)
    for axis in axes[2]:
        axis.axhline(1, color=GREY, linestyle="--", linewidth=0.8)
    for index, members in enumerate(runs.values()):
        for run in members:
            axes[3, 0].plot(*_sigma_ratio("observation", run), linewidth=0.5, **_line(index))
            axes[3, 1].plot(*_sigma_ratio("reward", run), linewidth=0.5, **_line(index))
            axes[3, 2].plot(*series(run, "train/grad_share/reward"), linewidth=0.5, **_line(index))
    axes[3, 0].set_title("σ / σ*, observation, every run")
    axes[3, 1].set_title("σ / σ*, reward, every run")
    axes[3, 2].set_title("Reward head's share of the gradient")
    for axis in axes[3]:
        log_axis(axis)
        axis.set_xlabel("Updates")
    handles = [axes[0, 0].plot([], [], **_line(index))[0] for index in range(len(runs))]
    figure.legend(handles, list(runs), loc="outside upper center", ncols=min(5, len(runs)))
    return figure


def table(runs: Mapping[str, list[Run]]) -> str:
    """Final returns, losses and σ/σ* in markdown."""
    head = "| method | seeds | final return [95%] | each seed | − dreamerv3 [95%] |"
    head += " image loss | reward loss | σ/σ* obs., reward, dyn. |\n"
    lines = [head + "| --- | ---: | ---: | --- | ---: | ---: | ---: | --- |\n"]
    base = [list(returns(run).values())[-1] for run in runs[BASELINE]]
    for method, members in runs.items():
        final = [list(returns(run).values())[-1] for run in members]
        less = difference(final, base)
        mean = {key: np.mean([series(run, f"train/loss/{key}")[1][-1] for run in members])
                for key in ("image", "reward")}  # fmt: skip
        ratios = [[_sigma_ratio(task, run)[1][-1:] for run in members] for task in TASKS]
        sigma = ", ".join(
            f"{np.exp(np.mean(np.log(r))):.2f}" if np.size(r) else "–" for r in ratios
        )
        each = " ".join(f"{value:.1f}" for value in final)
        lines.append(
            f"| {method} | {len(final)} | {_range(interval(final))} | {each} | "
            f"{'' if method == BASELINE else _range(less)} | {mean['image']:.1f} | "
            f"{mean['reward']:.4f} | {sigma if any(np.size(r) for r in ratios) else ''} |\n"
        )
    return "".join(lines)


def _named(key: str) -> Series:
    return lambda run: series(run, key)


def _weight(key: str, run: Run) -> tuple[np.ndarray, np.ndarray]:
    """What a loss is multiplied with in the total: its task's weight times that inside the task."""
    task, loss = LOSSES[key]
    x, weight = series(run, f"train/balance/weight/{task}")
    if key != "KL (dyn)":
        return x, weight
    # The part of the task's loss that is not rep's, over dyn itself: alpha, or the loss scale.
    _, whole = series(run, "train/balance/loss/dynamics")
    _, dyn = series(run, f"train/loss/{loss}")
    _, rep = series(run, "train/loss/rep")
    return x, weight * whole * ALPHA / (ALPHA * dyn + (1 - ALPHA) * rep)


def _line(index: int) -> dict[str, Any]:
    dashes = "--" if index >= len(COLORS) else "-"
    return {"color": COLORS[index % len(COLORS)], "linestyle": dashes}


def _sigma_ratio(task: str, run: Run) -> tuple[np.ndarray, np.ndarray]:
    x, sigma = series(run, f"train/balance/log_sigma/{task}")
    _, star = series(run, f"train/balance/log_sigma_star/{task}")
    size = min(len(sigma), len(star))
    return x[:size], np.exp(sigma[:size] - star[:size])


def _range(estimate: stats.Estimate) -> str:
    text = f"{estimate.value:.2f}"
    return text if np.isnan(estimate.low) else f"{text} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _short(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    """Runs one of the two commands."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("collect")
    make.add_argument("sweep", type=Path)
    make.add_argument("out", type=Path)
    verbs.add_parser("draw").add_argument("folder", type=Path)
    args = parser.parse_args()
    if args.verb == "collect":
        collect(args.sweep, args.out)
        return
    runs = load(args.folder)
    with styled():
        save(draw_learning(runs), args.folder / "learning.png")
        save(draw_balance(runs), args.folder / "balance.png")
    (args.folder / "table.md").write_text(table(runs))
    print(table(runs))


if __name__ == "__main__":
    main()
