"""The one mutable holder of train states, and what it needs of devices."""
