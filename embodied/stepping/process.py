"""Environments in a process of their own, restarted when one of them crashes or hangs."""

from __future__ import annotations

import faulthandler
import functools
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, cast

import numpy as np

from embodied.core.env import Env, Obs
from embodied.core.errors import (
    EnvError,
    Stopped,
    UserError,
    notice,
    show_notices,
    signal_name,
)
from embodied.core.space import Space
from embodied.stepping.groups import Local

_GRACE = 5.0  # Seconds that a worker has beyond its own limit before it is killed.
_LONGEST = 2_000_000.0  # Seconds; the system waits for no longer than 2^31 milliseconds.
_GOOD = 1000  # Good steps after which earlier faults no longer count towards the limit.
_ATTENTION = 0.2  # Seconds within which a pause ends when the run is asked to stop.
# Seconds before each restart in a row: a simulator's server may need its time to come back.
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


class EnvFault(Exception):
    """The environment raised, died or hung; the message says which, and where."""


class ProcessGroup:
    """A group in a spawned process, which is started anew as a whole when one of its rows fails.

    After a fault the rows that are stepped return the first observation of a fresh environment, and
    a warning names the task. What an environment returns outside its spaces is a mistake that a
    restart would hide: the `UserError` is passed on.

    Attributes:
      restarts: how often a new process was started.

    Args:
      ctors: one for each environment, called with the number of restarts so far (so that it can
        use another seed after each); they are pickled, so functions of a module or partials of one.
      name: the task, for messages.
      timeout: seconds that a step of one environment may take before it counts as hanging.
      start_timeout: seconds that making one environment may take.
      limit: faults with fewer than 1,000 good steps between them before it gives up; a constructor
        that raises after the first start is a fault like others. Pauses grow between them.
      stop: whether the run was asked to stop, which ends a pause.

    Raises:
      UserError: the environment cannot be made, or gave up.
    """

    def __init__(
        self,
        ctors: Sequence[Callable[[int], Env]],
        name: str,
        timeout: float = 60.0,
        start_timeout: float = 300.0,
        limit: int = 10,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.size = len(ctors)
        self._ctors = list(ctors)
        self._name = name
        self._timeout = timeout
        self._start_timeout = start_timeout
        self._limit = limit
        self._stop = stop
        self._faults = 0
        self._good = 0
        self._process: Any = None
        self._pipe: Connection | None = None
        self.restarts = 0
        try:
            facts = self._start()
        except EnvFault as error:
            raise UserError(f"{name}: the environment could not be made: {error}") from error
        self.obs_space: dict[str, Space] = facts["obs_space"]
        self.act_space: dict[str, Space] = facts["act_space"]
        self.repeat: int = facts["repeat"]
        self.savable: bool = facts["savable"]

    def step(self, rows: Sequence[int], actions: Sequence[np.ndarray | None]) -> Obs:
        """Steps some rows; a fault makes this the first step of new episodes in all of them.

        Raises:
          UserError: an observation is outside its space, or the limit of faults was reached.
          Stopped: the run was asked to stop in a pause between restarts.
        """
        while True:
            try:
                obs = self._ask("step", (rows, actions), self._timeout * len(rows))
            except EnvFault as error:
                self._restart(error)
                continue
            self._good += len(rows)
            if self._good >= _GOOD:
                self._faults = 0
            return obs

    def save(self) -> list[bytes | None]:
        """Returns the states; None where they cannot be had, or the process just failed."""
        try:
            return self._ask("save", (), self._timeout * self.size)
        except EnvFault as error:
            if not self._stop():
                self._restart(error)
            return [None] * self.size

    def load(self, row: int, data: bytes) -> None:
        """Restores a row."""
        try:
            self._ask("load", (row, data), self._timeout)
        except EnvFault as error:
            raise UserError(f"{self._name}: the saved state cannot be loaded: {error}") from error

    def close(self) -> None:
        """Ends the process."""
        if self._process is None:
            return
        pipe, process = self._pipe, self._process
        self._pipe = self._process = None
        if pipe:
            pipe.close()  # The worker reads the end of the pipe and leaves.
        process.join(2.0)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()

    def _start(self) -> dict[str, Any]:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (self._ctors, self.restarts, theirs, self._timeout)
        self._process = context.Process(target=_work, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        return self._receive(self._start_timeout * self.size)

    def _restart(self, error: Exception) -> None:
        self._faults += 1
        self._good = 0
        while True:
            self.close()
            if self._faults > self._limit:
                raise UserError(
                    f"{self._name}: the environment failed {self._faults} times with fewer than "
                    f"{_GOOD} good steps between; the last time: {error}"
                ) from error
            self.restarts += 1
            pause = _PAUSES[min(self._faults, len(_PAUSES)) - 1]
            notice(
                f"{self._name}: restart number {self.restarts} of the environment"
                f"{f' in {pause:g} seconds' if pause else ''}, its episode is cut: {error}"
            )
            self._wait(pause)
            try:
                self._start()
                return
            except (EnvFault, UserError) as again:  # It could be made before, so it may again.
                self._faults += 1
                error = again

    def _wait(self, pause: float) -> None:
        end = time.monotonic() + pause
        while (left := end - time.monotonic()) > 0:
            if self._stop():
                raise Stopped(f"{self._name}: stopped in a pause before a restart")
            time.sleep(min(left, _ATTENTION))

    def _ask(self, command: str, values: Sequence[Any], timeout: float) -> Any:
        if self._pipe is None:
            raise EnvFault("its process is closed")
        try:
            self._pipe.send((command, values))
        except OSError:
            raise EnvFault(self._epitaph()) from None
        return self._receive(timeout)

    def _receive(self, timeout: float) -> Any:
        pipe = cast(Connection, self._pipe)
        try:
            if not pipe.poll(min(timeout + _GRACE, _LONGEST)):
                self._process.kill()
                raise EnvFault(f"it hung for more than {timeout:g} seconds")
            kind, value = pipe.recv()
        except (EOFError, OSError):
            raise EnvFault(self._epitaph()) from None
        except KeyboardInterrupt:
            self.close()  # The reply would be taken for that of the next question.
            raise
        if kind == "user_error":
            raise UserError(value)
        if kind == "error":
            raise EnvFault(value)
        return value

    def _epitaph(self) -> str:
        """Says how the process ended."""
        self._process.join(1.0)
        code = self._process.exitcode
        if code is None:
            return "its process no longer answers"
        if code < 0:
            return f"its process was ended by {signal_name(-code)}"
        return f"its process ended with exit code {code} (1: perhaps it hung, see above)"


def _work(
    ctors: Sequence[Callable[[int], Env]], restarts: int, pipe: Connection, timeout: float
) -> None:
    """Serves environments until the other end of the pipe is closed."""
    # Signals to the parent's group (Ctrl-C, a scheduler's SIGTERM) are the parent's to handle: it
    # still has to save our state. When it dies, the pipe ends and so do we.
    os.setsid()
    show_notices()
    group = None
    try:
        group = Local([functools.partial(ctor, restarts) for ctor in ctors], timeout)
        names = ("obs_space", "act_space", "repeat", "savable")
        reply: Any = {name: getattr(group, name) for name in names}
        while _tell(pipe, "value", reply):
            try:
                command, values = pipe.recv()
            except (EOFError, OSError):
                break
            # Needs no lock of the interpreter: ends a process that hangs, parent or no parent.
            faulthandler.dump_traceback_later(timeout, exit=True)
            reply = getattr(group, command)(*values)
            faulthandler.cancel_dump_traceback_later()
    except EnvError as error:  # Its own code raised: an accident that a restart may mend.
        _tell(pipe, "error", str(error))
    except UserError as error:
        _tell(pipe, "user_error", str(error))
    except BaseException:  # A foreign constructor raises whatever it likes.
        _tell(pipe, "error", f"it raised\n{traceback.format_exc()}")
    faulthandler.dump_traceback_later(_GRACE, exit=True)
    if group is not None:
        group.close()


def _tell(pipe: Connection, kind: str, value: Any) -> bool:
    """Sends a reply; returns whether somebody is there to hear it."""
    try:
        pipe.send((kind, value))
    except OSError:
        return False
    return True
