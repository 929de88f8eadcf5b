"""Blocks: named layers of keys, those of `configs.yaml` and those of anyone's files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import embodied.envs
from embodied.core.errors import UserError, nearest
from embodied.run.config import RunConfig
from harmony_dreamerv3.config import bases
from harmony_dreamerv3.config.overrides import Flat, flatten
from harmony_dreamerv3.config.settings import Config
from harmony_dreamerv3.config.yaml_file import read_yaml

Layer = tuple[str, Flat]  # where it comes from, and its keys
BASES = "bases"  # of configs.yaml: base -> the defaults of its keys


def blocks(path: Path | None = None) -> dict[str, Any]:
    """Reads the blocks of `configs.yaml`.

    Args:
      path: another file; None for the one that ships with the package.
    """
    return read_yaml(path or _shipped(), shipped=path is None)


def collect(names: Sequence[str]) -> tuple[dict[str, Any], list[Layer]]:
    """Finds the layers that blocks and files stand for.

    A file is one block, or adds blocks that names may then stand for; the folder of a run, or its
    `config.yaml`, is the block of everything but its place and its label.

    Args:
      names: of blocks, or paths of yaml files or of run folders.

    Returns:
      Every block by name, and the layers in order.

    Raises:
      UserError: for an unknown block, a file that cannot be read, or a block that exists already.
    """
    every, files = blocks(), {name: _read(Path(name)) for name in names if is_path(name)}
    for name, tree in files.items():
        if _holds_blocks(tree):
            twice = [key for key in tree if key in every]
            if twice:
                raise UserError(f"{name}: there is a block {twice[0]!r} already; rename this one")
            every |= tree
    layers = []
    for name in names:
        if name in files:
            if not _holds_blocks(files[name]):
                layers.append((f"file {name}", flatten(files[name])))
        elif name not in block_names(every):
            options = [key for key in block_names(every) if key != "defaults"]
            hint = nearest(name, options)
            raise UserError(f"unknown config block {name!r}{hint}")
        elif name != "defaults":
            layers.append((f"block {name}", flatten(every[name])))
    return every, layers


def block_names(every: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the blocks of `blocks()`, without the defaults of the bases."""
    return tuple(name for name in every if name != BASES)


def blocks_of(base: str) -> list[str]:
    """Names of the shipped blocks that say they are of a base."""
    every = blocks()
    return [name for name in block_names(every) if dict(every[name]).get("base") == base]


def defaults(every: Mapping[str, Any], base: str = bases.DEFAULT) -> Flat:
    """The flat defaults: of all bases, of one, of `RunConfig`, and of the options of every suite.

    Args:
      every: `blocks()`.
      base: the base.

    Raises:
      UserError: for a base that does not exist.
    """
    bases.check(base)
    flat: Flat = {f"run.{field.name}": field.default for field in dataclasses.fields(RunConfig)}
    for name, suite in embodied.envs.suites().items():
        for key, value in vars(suite.options()).items():
            flat[f"env.{name}.{key}"] = value
    # A base may want other values of the keys that all have.
    return {"base": base, **flat, **flatten(every["defaults"]), **flatten(every[BASES][base])}


# Keys of earlier versions, so that their runs go on: the name now, and the value.
RENAMED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "run.eval_process": ("run.eval_processes", lambda value: -1 if value else 0),
    "method": ("label", str),
}
# Keys that earlier versions lack, with the value that means what they did; options of suites have
# their defaults.
ADDED: Flat = {
    "base": bases.DEFAULT, "jax.fast": True, "balance.lr": 0.0, "balance.init": "one",
    "run.random_fill": True, "run.pretrain": 0, "run.consec_train": 1, "run.replay_context": 0,
    "run.replay_online": False, "run.replay_episodes": False, "run.replay_ends": False,
    "run.replay_minlen": 0, "run.episode_limit": 27_000, "run.offline": "", "run.tracker": "none",
    "init": "", "init_keys": "",
}  # fmt: skip

# The same of the keys of one base.
ADDED_TO: dict[str, Flat] = {
    "dreamerv3_2025": {
        f"{side}.{kind}_keys": ".*" for side in ("encoder", "decoder") for kind in ("mlp", "cnn")
    }
}


def upgrade(tree: Mapping[str, Any]) -> Flat:
    """Flattens the configuration of a run, which an earlier version may have written."""
    own = defaults(blocks())
    options = {key: own[key] for key in own if key.startswith("env.")}
    added = ADDED_TO.get(str(tree.get("base")), {})
    flat = {**options, **ADDED, **added, **flatten(tree)}
    for old, (new, translate) in RENAMED.items():
        if old in flat:
            flat[new] = translate(flat.pop(old))
    return flat


def is_path(name: str) -> bool:
    """Whether a word names a file or folder, and not a block."""
    return name.endswith((".yaml", ".yml")) or "/" in name


def _read(path: Path) -> dict[str, Any]:
    tree = read_yaml(path / "config.yaml" if path.is_dir() else path)
    if "format" not in tree:
        return tree
    # The configuration of a run; it is a layer like any other, of dotted keys.
    return {k: v for k, v in upgrade(tree).items() if k not in ("format", "label", "logdir")}


def _holds_blocks(tree: Mapping[str, Any]) -> bool:
    """Whether the keys at the top name blocks, and not settings."""
    known = {field.name for field in dataclasses.fields(Config)} - {"agent"}
    known |= {key for base in bases.MODULES for key in bases.keys(base)} | {"harmony", "method"}
    every = all(isinstance(value, Mapping) for value in tree.values())
    return bool(tree) and every and not known & {key.partition(".")[0] for key in tree}


def _shipped() -> Path:
    package = Path(__file__).parents[1]
    inside = package / "configs.yaml"
    return inside if inside.exists() else package.parent / "configs.yaml"
