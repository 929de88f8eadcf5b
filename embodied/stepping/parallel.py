"""An environment in a process of its own, restarted when it crashes or hangs."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, cast

import numpy as np

from embodied.core.env import Env, Obs
from embodied.core.errors import EnvError, UserError, signal_name
from embodied.core.space import Space

_GRACE = 5.0  # Seconds that a worker has beyond its own limit before it is killed.
_LONGEST = 2_000_000.0  # Seconds; the system waits for no longer than 2^31 milliseconds.
_GOOD = 1000  # Good steps after which earlier faults no longer count towards the limit.


class EnvFault(Exception):
    """The environment raised, died or hung; the message says which, with its traceback."""


class ProcessEnv:
    """Runs an environment in a spawned process and starts it anew when it fails.

    After a fault the step returns the first observation of a fresh environment, `restarted` is
    true until the next step, and a warning names the task. What the environment returns outside
    its spaces is a mistake that a restart would hide: the `UserError` is passed on.

    Attributes:
      restarted: the last step started a new process, so the episode before was cut.
      restarts: how often that has happened.

    Args:
      ctor: makes the environment, called with the number of restarts so far (so that it can use
        another seed after each); it is pickled, so a function of a module or a partial of one.
      name: the task, for messages.
      timeout: seconds that a step may take before it counts as hanging.
      start_timeout: seconds that making the environment may take.
      limit: faults with fewer than 1,000 good steps between them before it gives up.
      share: environments that are made, and stepped, one after another in each call; each has these
        times to itself.

    Raises:
      UserError: the environment cannot be made, or gave up; with its traceback.
    """

    def __init__(
        self,
        ctor: Callable[[int], Env],
        name: str,
        timeout: float = 60.0,
        start_timeout: float = 300.0,
        limit: int = 10,
        share: int = 1,
    ) -> None:
        self._ctor = ctor
        self._share = share
        self._name = name
        self._timeout = timeout
        self._start_timeout = start_timeout
        self._limit = limit
        self._faults = 0
        self._good = 0
        self._process: Any = None
        self._pipe: Connection | None = None
        self.restarted = False
        self.restarts = 0
        try:
            found = self._start()
        except EnvFault as error:
            raise UserError(f"{name}: the environment could not be made: {error}") from error
        self.obs_space: dict[str, Space] = found["obs_space"]
        self.act_space: dict[str, Space] = found["act_space"]
        self.repeat: int = found["repeat"]
        self.savable: bool = found["savable"]

    def step(self, action: np.ndarray) -> Obs:
        """Steps the environment; a fault makes this the first step of a new episode.

        Raises:
          UserError: the observation is outside its space, or the limit of faults was reached.
        """
        self.restarted = False
        while True:
            try:
                obs = self._ask("step", action, self._timeout * self._share)
            except EnvFault as error:
                self._restart(error)
                continue
            self._good += self._share
            if self._good >= _GOOD:
                self._faults = 0
            return obs

    def save(self) -> bytes | None:
        """Returns the state; None when it cannot be had, also because the process just failed."""
        try:
            return self._ask("save", None, self._timeout)
        except EnvFault as error:
            self._restart(error)
            return None

    def load(self, data: bytes) -> None:
        """Restores what `save` returned."""
        try:
            self._ask("load", data, self._timeout)
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
        arguments = (self._ctor, self.restarts, theirs, self._timeout)
        self._process = context.Process(target=_work, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        return self._receive(self._start_timeout * self._share)

    def _restart(self, error: EnvFault) -> None:
        self._faults += 1
        self._good = 0
        while True:
            if self._faults > self._limit:
                self.close()
                raise UserError(
                    f"{self._name}: the environment failed {self._faults} times with fewer than "
                    f"{_GOOD} good steps between; the last time: {error}"
                ) from error
            self.restarts += 1
            self.restarted = True
            warnings.warn(
                f"{self._name}: restart number {self.restarts} of the environment, its episode is "
                f"cut: {error}",
                RuntimeWarning,
                stacklevel=3,
            )
            self.close()
            try:
                self._start()
                return
            except EnvFault as again:
                self._faults += 1
                error = again

    def _ask(self, command: str, value: Any, timeout: float) -> Any:
        if self._pipe is None:
            raise EnvFault("its process is closed")
        try:
            self._pipe.send((command, value))
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
            raise EnvFault(f"it raised\n{value}")
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


def _work(ctor: Callable[[int], Env], restarts: int, pipe: Connection, timeout: float) -> None:
    """Serves one environment until the other end of the pipe is closed."""
    # Signals to the parent's group (Ctrl-C, a scheduler's SIGTERM) are the parent's to handle: it
    # still has to save our state. When it dies, the pipe ends and so do we.
    os.setsid()
    env = None
    try:
        env = ctor(restarts)
        names = ("obs_space", "act_space", "repeat", "savable")
        reply: Any = {name: getattr(env, name) for name in names}
        while _tell(pipe, "value", reply):
            try:
                command, value = pipe.recv()
            except (EOFError, OSError):
                break
            # Needs no lock of the interpreter: ends a process that hangs, parent or no parent.
            faulthandler.dump_traceback_later(timeout, exit=True)
            reply = env.save() if command == "save" else getattr(env, command)(value)
            faulthandler.cancel_dump_traceback_later()
    except EnvError as error:  # Its own code raised: an accident that a restart may mend.
        _tell(pipe, "error", str(error))
    except UserError as error:
        _tell(pipe, "user_error", str(error))
    except Exception:
        _tell(pipe, "error", traceback.format_exc())
    faulthandler.dump_traceback_later(_GRACE, exit=True)
    if env is not None:
        env.close()


def _tell(pipe: Connection, kind: str, value: Any) -> bool:
    """Sends a reply; returns whether somebody is there to hear it."""
    try:
        pipe.send((kind, value))
    except OSError:
        return False
    return True
