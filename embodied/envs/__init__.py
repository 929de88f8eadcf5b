"""Environments by name: one file per suite, imported when first asked for."""

from embodied.envs._tools.registry import Suite, make, note, options_of, suite_of, suites, tasks

__all__ = ["Suite", "make", "note", "options_of", "suite_of", "suites", "tasks"]
