"""Settings of JAX for all tests; they must be there before JAX is imported."""

import gc
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import settings

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE / "harmony_dreamerv3" / "tests"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
# Programs of tests run for milliseconds and compile for seconds; these halve the latter.
FAST = "--xla_backend_optimization_level=0"
if version("jaxlib").startswith("0.10."):  # Later ones do not know it, and end the process.
    FAST += " --xla_cpu_use_fusion_emitters=false"
if "xla_backend_optimization_level" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FAST}".strip()

# Tracing makes millions of objects that live on; looking for garbage takes a sixth of the time.
gc.set_threshold(100_000, 50, 100)

# A busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# Where no test runs an optimizer: optax itself raises floats to integer powers.
STRICT = (
    "nets",
    "test_behavior.py",
    "test_world_model.py",
    "test_loss_tasks.py",
)


@pytest.fixture(autouse=True)
def strict_dtypes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuses implicit promotion of dtypes in tests of the agent's formulas."""
    if "harmony_dreamerv3" not in request.path.parts or not set(STRICT) & set(request.path.parts):
        yield
        return
    import jax

    with jax.numpy_dtype_promotion("strict"):
        yield
