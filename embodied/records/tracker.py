"""Experiment trackers beside TensorBoard: `run.tracker`. None of their failures stops a run."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from embodied.checkpoint.files import write_atomic
from embodied.records.progress import say

KINDS = ("none", "wandb", "trackio")
PROJECT = "harmony-dreamerv3"
NOTE = "tracker.json"  # of the run folder: under which name the tracker knows it
_WAITING = 1000  # Calls that may wait for a tracker; more are dropped.
_PATIENCE = 30.0  # Seconds for it to finish in at the end.


class Tracker(Protocol):
    """What a run asks of a tracker; whatever it raises becomes one warning."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Takes scalars by tag at an agent step."""
        ...

    def close(self) -> None:
        """Finishes."""
        ...


class Background:
    """A tracker in a thread of its own, which opens it: nothing that it does reaches the run."""

    def __init__(self, start: Callable[[], Tracker], name: str) -> None:
        self._start, self._name = start, name
        self._warned = False
        self._calls: queue.Queue[tuple[Mapping[str, float], int] | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See `Tracker`; returns at once."""
        try:
            self._calls.put_nowait((dict(values), step))
        except queue.Full:
            self._warn("it takes nothing any more")

    def close(self) -> None:
        """Waits for what was logged, though not for ever."""
        with contextlib.suppress(queue.Full):
            self._calls.put(None, timeout=_PATIENCE)
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            self._warn(f"it did not finish within {_PATIENCE:.0f} seconds")

    def _work(self) -> None:
        tracker: Tracker | None = None
        try:
            tracker = self._start()
        except BaseException as error:  # Also a `sys.exit` of its code.
            self._warn(_words(error))
        while (call := self._calls.get()) is not None:
            try:
                if tracker:
                    tracker.log(*call)
            except BaseException as error:
                self._warn(_words(error))
        try:
            if tracker:
                tracker.close()
        except BaseException as error:
            self._warn(_words(error))

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            say(f"warning: run.tracker {self._name}: {reason}; training goes on")


def open_tracker(kind: str, folder: Path) -> Background | None:
    """Opens the tracker of a run, one of `KINDS`; None for `none`.

    A run that goes on in the same folder is the same run for the tracker.
    """
    if kind == "none":
        return None
    start: Callable[[Path], Tracker] = _Wandb if kind == "wandb" else _Trackio
    return Background(lambda: start(folder), kind)


class _Wandb:
    """Weights & Biases; its own variables such as WANDB_MODE=offline say the rest."""

    def __init__(self, folder: Path) -> None:
        self._run = _package("wandb").init(
            project=os.environ.get("WANDB_PROJECT", PROJECT), name=folder.name, dir=str(folder),
            id=_identity(folder), resume="allow", reinit="create_new", config=_config(folder),
        )  # fmt: skip
        # Its own steps must never fall, as those of a run that goes on from a checkpoint may.
        self._run.define_metric("*", step_metric="step")

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log({"step": step, **values})

    def close(self) -> None:
        self._run.finish()


class _Trackio:
    """Trackio, which keeps its files in TRACKIO_DIR, or sends them to TRACKIO_SPACE_ID."""

    def __init__(self, folder: Path) -> None:
        self._run = _package("trackio").init(
            project=os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=f"{folder.name}-{_identity(folder)}", resume="allow", config=_config(folder),
            space_id=os.environ.get("TRACKIO_SPACE_ID"), embed=False,
        )  # fmt: skip

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        command = f"pip install 'harmony-dreamerv3[{name}]'"
        raise RuntimeError(f"{name} cannot be imported ({error}); {command}") from error


def _identity(folder: Path) -> str:
    """The name of a run, drawn once and kept in its folder."""
    path = folder / NOTE
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(path.read_text("utf-8"))["id"])
    identity = secrets.token_hex(6)
    write_atomic(path, json.dumps({"id": identity}).encode())
    return identity


def _config(folder: Path) -> dict[str, Any]:
    try:
        tree = YAML(typ="safe", pure=True).load((folder / "config.yaml").read_text("utf-8"))
    except (OSError, YAMLError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
