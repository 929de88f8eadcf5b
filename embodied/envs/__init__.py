"""Environments by name: one file per suite, imported when first asked for."""

from embodied.envs.registry import Suite, make, suites, tasks

__all__ = ["Suite", "make", "suites", "tasks"]
