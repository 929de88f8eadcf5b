"""Packaging; settings of tools are in pyproject.toml."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (HERE / "harmony_dreamerv3/__init__.py").read_text("utf-8")
)

# Ranges that were tried together; see docs/install.md.
REQUIRES = [
    "jax>=0.10,<0.13",
    "jaxlib>=0.10,<0.13",
    "flax>=0.12,<0.13",
    "optax>=0.2.8,<0.3",
    "chex>=0.1.91,<0.2",
    "numpy>=2.1,<3",
    "scipy>=1.14,<2",
    "gymnasium>=1.2,<1.5",
    "packaging",
    "ale-py>=0.12,<0.13",
    "opencv-python-headless>=4.10,<6",
    "pillow>=10",
    "matplotlib>=3.9,<4",
    "safetensors>=0.5,<1",
    "ruamel.yaml>=0.18,<0.20",
    "tensorboardX>=2.6.2,<3",
]
DMC = ["mujoco>=3.3.0,<3.3.1", "dm_control>=1.0.28,<1.0.29"]
EXTRAS = {
    "cuda": ["jax[cuda12]>=0.10,<0.13"],
    "tpu": ["jax[tpu]>=0.10,<0.13"],
    "dmc": DMC,
    "metaworld": ["metaworld>=3.1,<3.2", "mujoco>=3.3.0,<3.3.1"],
    "mujoco": ["mujoco>=3.3.0,<3.3.1", "imageio>=2.14"],
    "minatar": ["minatar>=1.0.15,<1.1"],
    "crafter": ["crafter>=1.8.3,<1.9"],
    "wandb": ["wandb>=0.19"],
    "trackio": ["trackio>=0.5"],
    "ray": ["ray>=2.40,<3"],
    "storage": ["fsspec>=2024.6", "s3fs>=2024.6", "gcsfs>=2024.6"],
    "test": [
        *(f'{name}; python_version < "3.13"' for name in DMC),
        "minatar>=1.0.15,<1.1",
        "pytest>=8",
        "pytest-xdist>=3.6",
        "hypothesis>=6.100",
        "fsspec>=2024.6",
        "ruff>=0.8",
        "mypy>=1.13",
        "tensorboard>=2.18",
    ],
}


class BuildWithConfigs(build_py):
    """Puts configs.yaml, which lies at the top of the repository, into the package."""

    def run(self) -> None:
        """Builds, then copies the file; an editable install reads it where it lies."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "harmony_dreamerv3" / "configs.yaml"
            shutil.copy(HERE / "configs.yaml", target)


setup(
    name="harmony-dreamerv3",
    version=VERSION.group(1) if VERSION else "0",
    description="HarmonyDream on DreamerV3 in JAX: train, evaluate, compare",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["harmony_dreamerv3*", "embodied*", "scores*", "sweeps*"]),
    package_data={
        "harmony_dreamerv3": ["py.typed", "interop/*.yaml"],
        "embodied": ["py.typed"],
        "scores": ["data/*", "py.typed"],
        "sweeps": ["py.typed"],
    },
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["harmony-dreamerv3=harmony_dreamerv3.main:main"]},
    cmdclass={"build_py": BuildWithConfigs},
)
