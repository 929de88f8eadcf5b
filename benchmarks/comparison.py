"""The small comparison of methods: raw records, figures and table of docs/results.md.

    python -m benchmarks.comparison collect SWEEP docs/results/distract
    python -m benchmarks.comparison draw docs/results/distract

`collect` copies what the figures need from the run folders of a sweep: the evaluations of
`episodes.jsonl`, and of `metrics.jsonl` the losses, weights and the reward's share of the gradient.
`draw` writes `learning.png`, `balance.png` and `table.md` beside them.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embodied.scores import stats
from embodied.scores.style import COLORS, GREY, log_axis, new_figure, save, styled
from harmony_dreamerv3 import training

KEPT = ("train/loss/", "train/balance/", "train/grad_share/", "train/policy_entropy")
BASELINE = "dreamerv3"
ORDER = (
    "dreamerv3", "wr10", "wr100", "harmony", "wd1", "unrectified", "uncertainty", "dwa",
    "nashmtl", "reciprocal",
)  # fmt: skip
TASKS = ("observation", "reward", "dynamics")
Run = Mapping[str, Any]  # `episodes`, `metrics`: lists of records


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
    for path in sorted(folder.glob("*-*/episodes.jsonl")):
        method = path.parent.name.rpartition("-")[0]
        run = {"episodes": _read(path), "metrics": _read(path.with_name("metrics.jsonl"))}
        found.setdefault(method, []).append(run)
    return {method: found[method] for method in sorted(found, key=ORDER.index)}


def returns(run: Run) -> dict[int, float]:
    """Mean return of each evaluation by its agent step."""
    steps = sorted({e["step"] for e in run["episodes"]})
    return {
        step: float(np.mean([e["return"] for e in run["episodes"] if e["step"] == step]))
        for step in steps
    }


def interval(values: Sequence[float]) -> stats.Estimate:
    """Mean over seeds with its 95% bootstrap interval."""
    return stats.bootstrap(lambda x: stats.mean(x)[None], np.asarray(values, float)[:, None])[0]


def series(run: Run, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Updates and values of a metric."""
    points = [(m["updates"], m[key]) for m in run["metrics"] if key in m and m["updates"]]
    return np.array([p[0] for p in points]), np.array([p[1] for p in points])


def draw_learning(runs: Mapping[str, list[Run]]) -> Any:
    """One panel a method: its curve with 95% interval over the baseline's."""
    columns = 5
    rows = math.ceil(len(runs) / columns)
    figure = new_figure(1.5 * columns, 1.5 * rows + 0.3)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axis in axes[len(runs) :]:
        axis.set_visible(False)
    for axis, (method, members) in zip(axes, runs.items()):
        for name, color in ((BASELINE, GREY), (method, COLORS[0])):
            curves = [returns(run) for run in runs[name]]
            steps = list(curves[0])
            points = [interval([curve[step] for curve in curves]) for step in steps]
            axis.plot(steps, [p.value for p in points], color=color)
            low, high = [p.low for p in points], [p.high for p in points]
            axis.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)
        axis.set_title(f"{method} ({len(members)} seeds)")
    figure.supxlabel("Agent steps; grey: dreamerv3", fontsize=8)
    figure.supylabel("Evaluation return", fontsize=8)
    return figure


def draw_balance(runs: Mapping[str, list[Run]]) -> Any:
    """Loss scales, weights and σ/σ* of every run over the updates, a column a task."""
    figure = new_figure(7.5, 6.0)
    axes = figure.subplots(3, 3, sharex=True)
    kinds: tuple[tuple[str, Callable[[Run, str], tuple[np.ndarray, np.ndarray]]], ...] = (
        ("Loss", lambda run, task: series(run, f"train/balance/loss/{task}")),
        ("Weight", lambda run, task: series(run, f"train/balance/weight/{task}")),
        ("σ / σ*", _sigma_ratio),
    )
    for row, (title, values) in zip(axes, kinds):
        for axis, task in zip(row, TASKS):
            for index, members in enumerate(runs.values()):
                for run in members:
                    x, y = values(run, task)
                    color = COLORS[index % len(COLORS)]
                    dashes = "--" if index >= len(COLORS) else "-"
                    axis.plot(x, y, dashes, color=color, linewidth=0.6, alpha=0.8)
            log_axis(axis)
            axis.set_title(f"{title}, {task}")
    for axis in axes[2]:
        axis.axhline(1, color=GREY, linestyle="--", linewidth=0.8)
        axis.set_xlabel("Updates")
    handles = [
        axes[0, 0].plot([], [], "--" if i >= len(COLORS) else "-", color=COLORS[i % len(COLORS)])[0]
        for i in range(len(runs))
    ]
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
        both = [np.asarray(values, float)[:, None] for values in (final, base)]
        less = stats.bootstrap(lambda a, b: (stats.mean(a) - stats.mean(b))[None], *both)[0]
        mean = {key: np.mean([series(run, f"train/balance/loss/{key}")[1][-1] for run in members])
                for key in ("observation", "reward")}  # fmt: skip
        ratios = [[_sigma_ratio(run, task)[1][-1:] for run in members] for task in TASKS]
        sigma = ", ".join(f"{np.mean(r):.2f}" if np.size(r) else "–" for r in ratios)
        each = " ".join(f"{value:.1f}" for value in final)
        lines.append(
            f"| {method} | {len(final)} | {_range(interval(final))} | {each} | "
            f"{'' if method == BASELINE else _range(less)} | {mean['observation']:.1f} | "
            f"{mean['reward']:.4f} | {sigma if any(np.size(r) for r in ratios) else ''} |\n"
        )
    return "".join(lines)


def _sigma_ratio(run: Run, task: str) -> tuple[np.ndarray, np.ndarray]:
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
