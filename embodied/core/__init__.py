"""Spaces, environment protocol, driver, checkpoints, clocks, metrics and records."""
