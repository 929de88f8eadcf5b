"""Checks of an installation: versions, devices, games, rendering."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import sys
from typing import TYPE_CHECKING

from embodied.core.errors import UserError

if TYPE_CHECKING:
    from harmony_dreamerv3.config import Config

PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "chex", "numpy", "gymnasium", "ale-py", "dm_control",
    "mujoco", "metaworld", "ruamel.yaml", "tensorboardX", "opencv-python-headless", "ray",
)  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb."""
    only = "instead print the configuration of these blocks and flags"
    parser.add_argument("--configs", nargs="+", metavar="BLOCK", help=only)


def run(args: argparse.Namespace) -> int:
    """Prints every check; returns 1 when one of them failed, else 0."""
    from harmony_dreamerv3 import config as configs
    from harmony_dreamerv3.config import overrides

    config = configs.make(args.configs or [], overrides.parse_flags(args.flags))
    if args.configs is not None:
        print(configs.dump(config), end="")
        return 0
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
    from harmony_dreamerv3.runtime import devices

    try:
        found = devices.setup(config.jax)
    except UserError as error:
        return "devices", False, str(error)
    return "devices", True, ", ".join(f"{d.device_kind} ({d.platform})" for d in found)
