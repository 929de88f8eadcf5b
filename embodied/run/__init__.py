"""Run loops: training with and without evaluation, and evaluation alone."""

from embodied.core.learner import Learner
from embodied.run.config import RunConfig
from embodied.run.evaluate import evaluate
from embodied.run.setup import MakeEnv
from embodied.run.train_eval import train_eval

__all__ = ["Learner", "MakeEnv", "RunConfig", "evaluate", "train_eval"]
