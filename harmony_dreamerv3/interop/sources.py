"""Parameters from wherever they lie: run folders, their checkpoints, hub folders, other names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import decode
from embodied.checkpoint.manifest import STEP, Saved
from embodied.core.errors import UserError
from embodied.records.logger import say
from harmony_dreamerv3.config import Config, folder
from harmony_dreamerv3.interop import checkpoint, names, names_2025

Arrays = dict[str, np.ndarray]
LEARNER = "learner.safetensors"  # of a checkpoint: a whole train state
WEIGHTS = "model.safetensors"  # of a hub folder: its parameters
PARTS = ("params", "slow_critic", "stats", "target")  # of a train state, that are parameters
OTHERS = (".npz", ".safetensors", ".ckpt", ".pkl")


@dataclasses.dataclass(frozen=True)
class Source:
    """What was found."""

    place: Path  # where
    # By names of a train state; where `config` is None by those of the released code.
    arrays: Arrays
    config: Config | None  # of the run that they are of
    step: int  # its agent steps
    hub: bool = False  # the arrays are parameters alone, not a whole train state

    @property
    def parameters(self) -> Arrays:
        """What is learned, apart from optimizers and other state of training."""
        named = {k: v for k, v in self.arrays.items() if k.partition("/")[0] in PARTS}
        for name in named:
            # Where a learned weight did not start at 0, it lies beside what is trained.
            offset = "balance/offset/" + name.removeprefix("params/balance/log_sigma/")
            if name.startswith("params/balance/log_sigma/") and offset in self.arrays:
                named[name] = named[name] + self.arrays[offset]
        return named


def read(place: str | Path) -> Source:
    """Reads parameters; nothing in the files is executed.

    Args:
      place: the folder of a run or of `export --hub`, a checkpoint `RUN/checkpoints/STEP` or the
        file `learner.safetensors` in it, or a file under the released code's names.

    Raises:
      UserError: when it is none of these, or cannot be read.
    """
    path = Path(place)
    if path.name in (LEARNER, WEIGHTS, "manifest.json") and path.is_file():
        # A run's own files stand for the folder that they are in.
        home = path.resolve().parent
        if path.name != WEIGHTS or (home / folder.FILE).exists():
            path = home
    if path.is_dir():
        if (path / WEIGHTS).is_file():
            return _hub(path)
        whole = path.resolve()
        if whole.parent.name == "checkpoints" and re.fullmatch(STEP, whole.name):
            return of_run(whole.parents[1], whole.name)
        return of_run(path)
    if path.is_file() and path.suffix in OTHERS:
        saved = checkpoint.read(path)
        return Source(path, saved.params, None, saved.step)
    raise UserError(
        f"{path}: expected the folder of a run or of export --hub, a checkpoint in a run such as "
        f"RUN/checkpoints/{60:012d}, or a file of arrays ({' '.join(OTHERS)})"
    )


def of_run(run: Path, only: str = STEP) -> Source:
    """Reads a run's newest checkpoint, or that whose name matches a pattern.

    Raises:
      UserError: when the folder holds no run, or no such checkpoint that can be read.
    """
    config = folder.read(run)
    found = Checkpoints(run, [run], only=only).take(_read, say)
    if found is None:
        there = Checkpoints(run, [run]).names()
        steps = ", ".join(f"{int(name[:12])}" for name in sorted(there))
        raise UserError(
            f"there is no such checkpoint in {run}; there are those of steps {steps}"
            if there
            else f"there is no checkpoint in {run}; train first"
        )
    return Source(run, found[0], config, found[1])


def _read(saved: Sequence[Saved]) -> tuple[Arrays, int]:
    path = saved[0].files[LEARNER]
    return decode(path.read_bytes(), path), int(saved[0].state["step"])


def _hub(place: Path) -> Source:
    path = place / WEIGHTS
    arrays = decode(path.read_bytes(), path)
    with safetensors.safe_open(path, "numpy") as file:
        step = (file.metadata() or {}).get("step", "")
    if not step.isdecimal():
        raise UserError(f"{path} does not say its agent step, as export --hub does")
    return Source(place, arrays, folder.read(place), int(step), hub=True)


def fitting(
    source: Source, base: str, own: Mapping[str, Any], pattern: str = ""
) -> tuple[Arrays, dict[str, dict[str, Any]]]:
    """Finds which parameters of a source fit an agent.

    Args:
      source: of any base.
      base: of the agent.
      own: its arrays by name.
      pattern: regular expression of the names, from their beginning, that are wanted, such as
        `world_model/`; empty for all. A slow critic goes with its critic.

    Returns:
      The arrays that fit, by name; and of the others of both sides the shape `there` and `here`,
      None where a side lacks it.

    Raises:
      UserError: when the pattern is none, or nothing fits.
    """
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise UserError(f"init_keys: {pattern!r} is no regular expression: {error}") from error
    here = {_short(k): v for k, v in own.items() if k.partition("/")[0] in PARTS}
    there = {_short(k): v for k, v in source.parameters.items()}
    if source.config is None:
        there = _translate(source.arrays, base, own)
    every = [
        n
        for n in dict.fromkeys([*here, *there])
        if wanted.match(n) or wanted.match(n.removeprefix("slow_"))
    ]
    shapes = [{n: list(np.shape(v)) for n, v in side.items()} for side in (there, here)]
    fits = [n for n in every if n in here and shapes[0].get(n) == shapes[1][n]]
    left = {
        n: {"there": shapes[0].get(n), "here": shapes[1].get(n)} for n in every if n not in fits
    }
    if not fits:
        what = f" that init_keys {pattern!r} names" if pattern else ""
        raise UserError(
            f"init: no parameter of {source.place}{what} fits this agent\n" + text(left)
        )
    full = {_short(k): k for k in own if k.partition("/")[0] in PARTS}
    return {full[n]: there[n] for n in fits}, left


def text(left: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each parameter that was not taken over."""

    def side(shape: Any, word: str) -> str:
        return f"not {word}" if shape is None else f"{shape} {word}"

    return "\n".join(
        f"  {name}: {side(each['there'], 'there')}, {side(each['here'], 'here')}"
        for name, each in left.items()
    )


def _short(name: str) -> str:
    """The name that people see: `world_model/rssm/gru/kernel`, `slow_critic/out/kernel`."""
    return name.removeprefix("params/")


def _translate(theirs: Arrays, base: str, own: Mapping[str, Any]) -> Arrays:
    """Arrays under the released code's names, by ours where there is one."""
    found, used = {}, set()
    for name in own:
        if name.partition("/")[0] in PARTS:
            other = _their_name(base, name)
            if other in theirs:
                found[_short(name)] = theirs[other]
                used.add(other)
    return found | {name: value for name, value in theirs.items() if name not in used}


def _their_name(base: str, name: str) -> str | None:
    if base == "dreamerv3":
        try:
            return names.upstream_name(tuple(_short(name).split("/")))
        except UserError:  # It has none.
            return None
    return next(iter(names_2025.export_arrays({name: np.zeros(0)})), None)
