"""Stepping environments: in this process or in others, checked, all members at once."""
