"""HarmonyDream (Ma et al., ICML 2024) on DreamerV3, in JAX; docs/python.md shows its use."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["load", "make_config", "train"]


def __getattr__(name: str) -> Any:
    """Imports `load`, `make_config` and `train` when first asked for: JAX takes a second."""
    if name in __all__:
        from harmony_dreamerv3 import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
