"""What a run has learned, in plain numbers from its records."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from embodied.envs import crafter
from embodied.records.lines import read_lines
from embodied.run.config import fill_step
from harmony_dreamerv3.config import Config


def describe(folder: Path, config: Config, repeat: int) -> str:
    """Says what a run has learned and where each file is.

    Args:
      folder: run folder.
      config: its configuration.
      repeat: frames for each agent step.

    Returns:
      Several lines of text.
    """
    metrics = read_lines(folder / "metrics.jsonl")
    episodes = read_lines(folder / "episodes.jsonl")
    lines = [f"\n{folder}: {config.task}, method {config.label}, seed {config.seed}"]
    for name in ("image", "vector", "reward"):
        key = f"train/loss/{name}"
        curve = [line[key] for line in metrics if line.get(key) is not None]
        if len(curve) > 1:
            lines.append(
                f"  {name} loss: first {curve[0]:.4g}, last {curve[-1]:.4g} "
                f"({curve[-1] / max(curve[0], 1e-12):.0%} of the first)"
            )
    filled = fill_step(config.run, config.batch_length)
    train = [e for e in episodes if e["mode"] == "train"]
    random = [e["return"] for e in train if e["step"] <= filled]
    lines += _returns("random return", random, f"the {len(random)} episodes before training")
    evals = [e for e in episodes if e["mode"] == "eval"]
    if evals:
        step = max(e["step"] for e in evals)
        last = [e["return"] for e in evals if e["step"] == step]
        where = f"evaluation at {step:,} agent steps = {step * repeat:,} frames"
        lines += _returns("trained return", last, f"{len(last)} episodes, {where}")
    if train and any(key.startswith(crafter.PREFIX) for key in train[0]):
        share = f"{crafter.score(train):.2f}% (all {len(train)} episodes of training)"
        lines.append(f"  Crafter score: {share}")
    names = {
        "config.yaml": "configuration",
        "metrics.jsonl": "losses and rates",
        "episodes.jsonl": "every episode",
        "timing.jsonl": "clock times",
        "videos": "videos and open-loop predictions",
        "checkpoints": "checkpoints",
        "replay": "replay",
    }
    present = [(n, w) for n, w in names.items() if (folder / n).exists()]
    width = max((len(str(folder / n)) for n, _ in present), default=0)
    lines += [f"  {folder / n!s:<{width}}  {what}" for n, what in present]
    return "\n".join(lines)


def evaluation(folder: Path, cut: tuple[str, int] | None = None) -> None:
    """Prints the returns that an evaluation wrote into a folder.

    `cut` are the signal that ended it early, and how many episodes were wanted.
    """
    values = [line["return"] for line in read_lines(folder / "episodes.jsonl")]
    for index, value in enumerate(values):
        print(f"episode {index}: return {value:g}")
    if cut:
        print(
            f"cut short by {cut[0]} after {len(values)} of {cut[1]} episodes: the short ones end "
            "first, so this is no fair sample"
        )
    if not values:
        return
    spread = f"standard deviation {np.std(values):.4g}, n = {len(values)}"
    print(f"mean {np.mean(values):.4g}, median {np.median(values):.4g}, {spread}; {folder}")


def _returns(label: str, values: list[float], where: str) -> list[str]:
    if not values:
        return []
    return [f"  {label}: {np.mean(values):.4g} (mean of {where})"]
