"""World models trained offline on a fixed buffer, and what they predict of held-out data."""
