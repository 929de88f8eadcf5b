"""Run folders from checkpoints of the released code, and parameters back under its names."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embodied.checkpoint import files
from embodied.checkpoint.lock import Lock
from embodied.core.errors import UserError
from embodied.run.setup import Setup
from embodied.run.state import RunState
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.agents.dreamerv2 import Agent
from harmony_dreamerv3.config import Config, environments, labels, overrides
from harmony_dreamerv3.config import folder as run_folder
from harmony_dreamerv3.interop import checkpoint, names_2025, sources, states_v2, upstream
from harmony_dreamerv3.interop.names import export_arrays
from harmony_dreamerv3.runtime import devices, trees
from harmony_dreamerv3.runtime.runtime import Runtime

# Methods whose s is the log of sigma that the released code's harmonizers hold.
HARMONIC = ("harmony",)
# Bases but that of 2023: what makes states of variables by name.
IMPORTS: dict[str, Callable[..., Any]] = {
    "dreamerv3_2025": names_2025.import_params,
    "dreamerv2": states_v2.import_params,
}


def import_checkpoint(
    path: Path, logdir: Path, names: Sequence[str], flags: configs.Flat, theirs: Path | None
) -> str:
    """Writes a run folder that starts from the parameters of the released code.

    Args:
      path: its checkpoint, or arrays under its names as `export` writes them.
      logdir: run folder, which must be new.
      names: our config blocks.
      flags: our flags, laid over everything else.
      theirs: its `config.yaml`; None for the one beside the checkpoint, if there is one.

    Returns:
      What was done, for people.

    Raises:
      UserError: when the checkpoint cannot be read or does not fit the configuration.
    """
    saved = checkpoint.read(path)
    beside = path.parent / "config.yaml"
    base = configs.make(names, flags).base
    if base in IMPORTS and theirs is not None:
        raise UserError("--upstream-config is read for the 2023 base alone; give blocks and flags")
    theirs = theirs or (beside if beside.is_file() and base not in IMPORTS else None)
    config = make_config(names, flags, theirs)
    config = dataclasses.replace(
        config, label=config.label or labels.derive(config), logdir=str(logdir)
    )
    if (logdir / "config.yaml").exists():
        raise UserError(f"{logdir} holds a run already; give another --logdir")
    text = run_folder.prepare(logdir, config)
    devices.setup(config.jax)
    make_env = environments.maker(config)
    spaces = environments.spaces(make_env)
    learner = Runtime(config, spaces.obs, spaces.act, [config.seed])
    if base in IMPORTS:
        state: Any = IMPORTS[base](learner.agent, saved.params, config.seed)
        fresh = list(state.opt)
    else:
        state, fresh = checkpoint.convert(learner.agent, saved, config.seed)
    learner.load([{name: np.asarray(leaf) for name, leaf in trees.named(state)}])
    logdir.mkdir(parents=True, exist_ok=True)
    lock = Lock(logdir)
    run = None
    try:
        (logdir / "config.yaml").write_text(text, "utf-8")
        batch = (config.batch_size, config.batch_length)
        setup = Setup(learner, make_env, None, [logdir], logdir, [config.seed], config.run, *batch)
        run = RunState(setup)
        run.start()
        run.check(wait=True)
    finally:
        if run:
            run.close()
        lock.release()
    note = {
        "checkpoint": str(path),
        "sha256": files.digest(path),
        "step": saved.step,
        "updates": int(state.updates),
        "optimizers_restarted": fresh,
    }
    files.write_atomic(logdir / "imported.json", json.dumps(note, indent=1).encode())
    return _describe(note, logdir, config, names)


def make_config(names: Sequence[str], flags: configs.Flat, theirs: Path | None) -> Config:
    """Builds our configuration: blocks, then the released code's file, then flags."""
    layer: configs.Flat = {}
    if theirs is not None:
        try:
            layer = upstream.translate([], overrides.flatten(configs.read_yaml(theirs)))
        except UserError as error:
            raise UserError(f"{theirs}: {error}") from error
    return configs.make(names, {**layer, **flags})


def export_run(folder: Path, out: Path) -> str:
    """Writes the newest checkpoint's parameters under the released code's names.

    Args:
      folder: run folder.
      out: file to write, `.safetensors` or `.npz`.

    Returns:
      What was done, for people.

    Raises:
      UserError: when there is no checkpoint, or parameters without such names.
    """
    if out.suffix not in (".safetensors", ".npz"):
        raise UserError(f"expected OUT to end in .safetensors or .npz, got {str(out)!r}")
    config = run_folder.read(folder)
    source = sources.of_run(folder)
    arrays, step = source.arrays, source.step
    omitted = ""
    if config.balance.method not in HARMONIC or config.base == "dreamerv3_2025":
        weights = [name for name in arrays if name.startswith("params/balance/")]
        arrays = {name: value for name, value in arrays.items() if name not in weights}
        if weights:
            omitted = f" (without the weights of {config.balance.method}, which it lacks)"
    if config.base == "dreamerv2":  # Layouts depend on the sizes of images.
        spaces = environments.spaces(environments.maker(config))
        variables = states_v2.export_arrays(Agent(config, spaces.obs, spaces.act), arrays)
    else:
        modern = config.base == "dreamerv3_2025"
        variables = names_2025.export_arrays(arrays) if modern else export_arrays(arrays)
    if out.suffix == ".npz":
        stream = io.BytesIO()
        np.savez(stream, **variables)  # type: ignore[arg-type]
        data = stream.getvalue()
    else:
        data = files.encode(variables)
    try:
        files.write_atomic(out, data)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error}") from error
    return f"{len(variables)} variables of step {step:,} written to {out}{omitted}"


def _describe(note: dict[str, Any], logdir: Path, config: Config, names: Sequence[str]) -> str:
    fresh = note["optimizers_restarted"]
    moments = "optimizer moments taken over"
    if fresh:
        moments = f"no optimizer moments for {', '.join(fresh)}: these restart from zero"
    block = overrides.flatten(configs.to_dict(configs.make(names)))
    mine = overrides.flatten(configs.to_dict(config))
    # What `train` sets itself.
    defaulted = (("logdir", str(logdir)), ("label", labels.derive(config)))
    flags = [
        f"--{key} {_word(value)}"
        for key, value in mine.items()
        if value != block[key] and (key, value) not in defaulted
    ]
    command = ["harmony-dreamerv3 train --logdir", str(logdir)]
    command += ["--configs", *names] if names else []
    return (
        f"{note['checkpoint']}: {note['updates']:,} updates, saved at step {note['step']:,}; "
        f"{moments}.\n{logdir} starts from it at step 0, with an empty replay. Continue with\n"
        f"  {' '.join([*command, *flags])}"
    )


def _word(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    quoted = isinstance(value, str | dict) and not text.replace("_", "").isalnum()
    return f"'{text}'" if quoted else text
