"""`train --init`: a new run begins with parameters of another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import write_atomic
from embodied.records.logger import say
from harmony_dreamerv3.config import Config
from harmony_dreamerv3.interop import sources
from harmony_dreamerv3.runtime.runtime import Runtime

NOTE = "init.json"  # of the run folder: what was taken over, and what was not


def initialise(learner: Runtime, config: Config, root: Path, folders: Sequence[Path]) -> None:
    """Gives new learners the parameters that `config.init` names; a run that goes on has its own.

    Optimizers, normalizers and counts stay those of a new run. What did not fit is said, and kept
    in `init.json` of each member's folder.

    Raises:
      UserError: when the source cannot be read, or nothing of it fits.
    """
    if not config.init or Checkpoints(root, folders).names():
        return
    source, own = sources.read(config.init), learner.save()
    arrays, left = sources.fitting(source, config.base, own[0], config.init_keys)
    learner.load([{**one, **arrays} for one in own])
    count, total = len(arrays), sum(name.partition("/")[0] in sources.PARTS for name in own[0])
    say(f"init: {count} of {total} parameters from {source.place}, step {source.step:,}")
    if left:
        say(f"init: not taken over, by name and shape:\n{sources.text(left)}")
    note = {
        "init": config.init, "init_keys": config.init_keys, "step": source.step,
        "taken": sorted(name.removeprefix("params/") for name in arrays), "left": left,
    }  # fmt: skip
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / NOTE, json.dumps(note, indent=1).encode())
