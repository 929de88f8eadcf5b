"""Checks of an installation: versions, devices, games, rendering."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

from embodied.core.errors import UserError
from harmony_dreamerv3.config import Config
from harmony_dreamerv3.runtime import devices

PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "chex", "numpy", "gymnasium", "ale-py", "dm_control",
    "mujoco", "metaworld", "ruamel.yaml", "tensorboardX", "opencv-python-headless", "ray",
)  # fmt: skip


def main(config: Config) -> int:
    """Prints every check; returns 1 when one of them failed, else 0."""
    from embodied.envs._tools import doctor

    print(f"python {platform.python_version()} on {platform.platform()}")
    for name in PACKAGES:
        try:
            print(f"  {name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"  {name} is not installed")
    checks = [_devices(config), *doctor.checks()]
    for name, ok, detail in checks:
        print(f"{'ok  ' if ok else 'FAIL'} {name}: {detail}")
    sys.stdout.flush()
    return int(not all(ok for _, ok, _ in checks))


def _devices(config: Config) -> tuple[str, bool, str]:
    try:
        found = devices.setup(config.jax)
    except UserError as error:
        return "devices", False, str(error)
    return "devices", True, ", ".join(f"{d.device_kind} ({d.platform})" for d in found)
