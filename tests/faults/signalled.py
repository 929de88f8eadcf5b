"""Runs the command line and sends itself SIGTERM at a chosen moment.

    python tests/faults/signalled.py compilation train --configs debug --logdir ...

It prints `signal` when it sends it, and what of this moment still came to its end afterwards.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax

import embodied.checkpoint.checkpoints as checkpoint
import harmony_dreamerv3.main as command
from embodied.checkpoint.files import write_atomic
from harmony_dreamerv3.runtime.runtime import Runtime


def send() -> None:
    """Sends the signal to this process."""
    print("signal", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)


class Compilation(logging.Handler):
    """Sends the signal while the program whose name contains `program` is being compiled."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program
        jax.config.update("jax_log_compiles", True)
        logging.getLogger("jax").addHandler(self)
        logging.getLogger("jax").propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if self._program not in text:
            return
        if text.startswith("Compiling"):
            threading.Thread(target=lambda: (time.sleep(0.2), send())).start()
        if text.startswith("Finished XLA compilation"):
            print("compiled", flush=True)


def at_start() -> None:
    """Sends the signal before the learner is made."""
    make = Runtime.__init__

    def making(self: Runtime, *args: Any) -> None:
        send()
        make(self, *args)

    Runtime.__init__ = making  # type: ignore[method-assign]


def in_evaluation() -> None:
    """Sends the signal at the tenth action of the second evaluation."""
    act, steps, count = Runtime.act, set(), [0]

    def acting(self: Runtime, carry: Any, obs: Any, counter: Any, mode: str, *rest: Any) -> Any:
        if mode == "eval":
            steps.add(counter[0])
            count[0] += len(steps) == 2
            if count[0] == 10:
                count[0] += 1
                send()
        return act(self, carry, obs, counter, mode, *rest)

    Runtime.act = acting  # type: ignore[method-assign]


def in_saving() -> None:
    """Sends the signal while a file of the third checkpoint is being written."""
    seen: set[str] = set()

    def writing(path: Path, data: bytes) -> None:
        seen.add(path.parent.name if path.parent.name != "replay" else "")
        if len(seen - {""}) == 3 and "sent" not in seen:
            seen.update({"sent", "also"})
            send()
        write_atomic(path, data)

    checkpoint.write_atomic = writing


def main() -> int:
    """Prepares the moment, then runs the command line."""
    moment, *words = sys.argv[1:]
    if moment == "start":
        at_start()
    elif moment == "compilation":
        Compilation("train_members")
    elif moment == "evaluation":
        in_evaluation()
    elif moment == "saving":
        in_saving()
    else:
        raise SystemExit(f"unknown moment {moment!r}")
    return command.main(words)


if __name__ == "__main__":
    sys.exit(main())
