"""HarmonyDream (Ma et al., ICML 2024) on DreamerV3, in JAX."""

__version__ = "0.1.0"
