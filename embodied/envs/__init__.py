"""Environments by name: one file per suite, imported when first asked for."""

from embodied.envs.registry import Suite, make, make_process, suites, tasks

__all__ = ["Suite", "make", "make_process", "suites", "tasks"]
