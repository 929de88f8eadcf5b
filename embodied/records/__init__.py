"""What a run writes down: metrics, episodes, videos, TensorBoard events."""
