"""Sweeps: many runs of one command line, over the devices of one machine or of a cluster.

The plan and the state of each job are files in `<logdir>/sweep/`; what a job has reached is read
from its run folders alone, so nothing here can contradict the runs.
"""

from sweeps.plan import Job, Plan
from sweeps.runner import Engine, Runner
from sweeps.states import JobState, States

__all__ = ["Engine", "Job", "JobState", "Plan", "Runner", "States"]
