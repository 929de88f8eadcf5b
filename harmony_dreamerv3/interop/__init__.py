"""Exchange with the released 2023 code: parameter names, parity bundles, checkpoints."""
