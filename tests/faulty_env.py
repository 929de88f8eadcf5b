"""An environment that fails as asked; processes import it by name."""

import os
import time

import numpy as np

from embodied.core.errors import UserError
from embodied.envs.dummy import Dummy, Options
from embodied.stepping.wrappers import CheckedEnv


class Faulty(Dummy):
    def __init__(self, fault, when, restarts, always=False):
        super().__init__(True, restarts, Options(image=False, length=10_000, death=0.0))
        self.fault = fault if always or restarts == 0 else None
        self.when = when
        self.calls = 0
        if self.fault == "ctor":
            raise ValueError("cannot be made")

    def step(self, action):
        obs = super().step(action)
        self.calls += 1
        if self.calls > self.when and self.fault:
            if self.fault == "raise":
                raise ValueError("the sky is falling")
            if self.fault == "eof":
                raise EOFError("of our own file")
            if self.fault == "exit":
                os._exit(7)
            if self.fault == "hang":
                time.sleep(1000)
            if self.fault == "slow":
                time.sleep(0.8)
            if self.fault == "nan":
                obs["vector"][2] = np.nan
            if self.fault == "shape":
                obs["vector"] = np.zeros(3, np.float32)
        return obs


def make_while_down(fault, lives, restarts):
    """Makes an environment whose constructor fails after a crash, until so many restarts."""
    if 0 < restarts < lives:
        if fault == "sys.exit":
            raise SystemExit("no simulator on port 2000")
        kind = UserError if fault == "usage" else ConnectionRefusedError
        raise kind("no simulator on port 2000")
    return make(None, 0, restarts)


def make(fault, when, restarts, always=False):
    return CheckedEnv(Faulty(fault, when, restarts, always), "dummy_faulty")
