"""`export --hub`: a folder with weights, configuration and model card, as model hubs have them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from embodied.checkpoint.files import write_atomic
from embodied.core.errors import UserError
from embodied.records.lines import read_lines
from harmony_dreamerv3 import __version__
from harmony_dreamerv3.config import Config
from harmony_dreamerv3.config import folder as run_folder
from harmony_dreamerv3.interop import sources

CARD = """\
---
library_name: harmony-dreamerv3
pipeline_tag: reinforcement-learning
tags: [reinforcement-learning, world-models, dreamerv3, {task}]
---

# {label} on {task}

A world-model agent of base {base}, balancing method {method}, trained for {step:,} agent steps.

```python
import harmony_dreamerv3
agent = harmony_dreamerv3.load("{folder}")  # docs/python.md has what it can do
```

| | |
| --- | --- |
| task | {task} |
| protocol | {protocol} |
| scores | {scores} |
| seed | {seed} |
| parameters | {parameters:,} |
| code | {commit} |

`model.safetensors` holds the parameters by name, `config.yaml` every setting of the run. Optimizer
states and the replay are not here: training can begin from these weights (`train --init`), but not
go on where it stopped.
"""


def export(place: Path, out: Path) -> str:
    """Writes what `load` and `train --init` read.

    Args:
      place: a run folder, or a checkpoint in one.
      out: folder to write; what it holds of an earlier export is replaced.

    Returns:
      What was done, for people.

    Raises:
      UserError: when there is no checkpoint, or `out` is a run folder or cannot be written.
    """
    source = sources.read(place)
    if source.config is None:
        raise UserError(f"{place} is no run: a hub folder needs a run's configuration and records")
    if (out / "checkpoints").exists():
        raise UserError(f"{out} is a run folder; give another one for the hub")
    arrays = {
        k: np.asarray(v, order="C")
        for k, v in source.arrays.items()
        if k.partition("/")[0] in sources.PARTS or k.startswith("balance/offset/")
    }
    facts = _facts(source, arrays, out)
    weights = safetensors.numpy.save(arrays, {"step": str(source.step), "code": facts["commit"]})
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / sources.WEIGHTS, weights)
        write_atomic(out / run_folder.FILE, run_folder.text(source.config).encode())
        write_atomic(out / "README.md", CARD.format(**facts).encode())
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error}") from error
    return (
        f"{facts['parameters']:,} parameters of step {source.step:,} written to {out}, with "
        "config.yaml and a model card, README.md"
    )


def _facts(source: sources.Source, arrays: sources.Arrays, out: Path) -> dict[str, Any]:
    config = source.config
    assert config
    sizes = [v.size for k, v in arrays.items() if k.startswith("params/")]
    return {
        "task": config.task, "label": config.label, "base": config.base, "folder": out.name,
        "method": config.balance.method, "step": source.step, "seed": config.seed,
        "parameters": sum(sizes), "commit": commit(), "scores": _scores(source),
        "protocol": _protocol(config),
    }  # fmt: skip


def _protocol(config: Config) -> str:
    run = config.run
    ratio = f"{run.train_ratio:g} replayed steps for each agent step"
    if run.offline:
        ratio += ", offline, on a fixed replay"
    every = f"{run.eval_eps} episodes every {run.eval_every:,} agent steps"
    return f"{run.steps:,} agent steps, {ratio}; evaluation: {every if run.eval_every else 'none'}"


def _scores(source: sources.Source) -> str:
    episodes = read_lines(source.place / "episodes.jsonl")
    evals = [e for e in episodes if e.get("mode") == "eval" and e["step"] <= source.step]
    if not evals:
        return "no evaluation was recorded"
    step = max(e["step"] for e in evals)
    last = [e for e in evals if e["step"] == step]
    values = [e["return"] for e in last]
    return (
        f"return {np.mean(values):.4g} ± {np.std(values):.4g} (mean and standard deviation of "
        f"{len(values)} episodes at step {step:,}, {last[0]['frame']:,} frames)"
    )


def commit() -> str:
    """The version of this program, with the commit where it runs from a checkout."""
    where = Path(__file__).parents[2]
    try:
        done = subprocess.run(
            ["git", "-C", str(where), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return f"version {__version__}"
    # An installed copy may lie in the checkout of something else.
    ours = (where / ".git").exists()
    return f"version {__version__}" + (f", commit {done.stdout.strip()}" if ours else "")
