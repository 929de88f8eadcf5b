"""Sweeps: many runs of one command line, over the devices of one machine or of a cluster.

The plan and the state of each job are files in `<logdir>/sweep/`; what a job has reached is read
from its run folders alone, so nothing here can contradict the runs.
"""

from embodied.run.sweep.plan import Job, Plan
from embodied.run.sweep.runner import Engine, Runner
from embodied.run.sweep.states import JobState, States

__all__ = ["Engine", "Job", "JobState", "Plan", "Runner", "States"]
