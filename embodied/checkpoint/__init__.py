"""Files that survive: atomic writes, manifests, checkpoints, locks, storage elsewhere."""
