"""Contracts: spaces, environments, errors, ranges, seeds, clocks. Imports no sibling."""
