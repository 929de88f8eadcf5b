"""Configuration: yaml blocks and command-line flags to frozen dataclasses.

`configs.yaml` is the single source of defaults; `keys` lays blocks and flags over them, and the
dataclasses of `settings` say what values make sense.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from ruamel.yaml import YAML

import embodied.envs
from embodied.core.errors import UserError, nearest
from embodied.core.ranges import OutOfRange
from embodied.run.config import RunConfig
from harmony_dreamerv3.config.overrides import OPEN, Flat, convert, flatten, nest, update
from harmony_dreamerv3.config.settings import Config
from harmony_dreamerv3.config.yaml_file import read_yaml


def blocks(path: Path | None = None) -> dict[str, Any]:
    """Reads the blocks of `configs.yaml`.

    Args:
      path: another file; None for the one that ships with the package.
    """
    return read_yaml(path or _shipped(), shipped=path is None)


# Keys of earlier versions, so that their runs go on: the name now, and the value.
RENAMED = {"run.eval_process": ("run.eval_processes", lambda value: -1 if value else 0)}


def load(tree: Mapping[str, Any], source: object) -> Config:
    """Builds the configuration that `to_dict` described, checking every key and value.

    Args:
      tree: nested mappings from a file; `source` names it in messages.

    Raises:
      UserError: for an unknown or missing key, or a value of the wrong type.
    """
    known, flat = _known(), flatten(tree)
    for old, (new, translate) in RENAMED.items():
        if old in flat:
            flat[new] = translate(flat.pop(old))
    for key, value in flat.items():
        if key not in known:
            raise UserError(f"{source}: unknown key {key!r}{nearest(key, known)}")
        if key not in OPEN:
            flat[key] = convert(value, known[key], key)
        elif not isinstance(value, Mapping):
            raise UserError(f"{source}: {key}: expected a mapping, got {value!r}")
    return build(flat)


@functools.cache
def _known() -> Flat:
    """Every key of a configuration with a value of its type."""
    return flatten(to_dict(build(defaults(blocks()))))


def make(names: Sequence[str] = (), flags: Mapping[str, Any] | None = None) -> Config:
    """Builds a configuration from blocks and flags.

    Args:
      names: blocks laid over `defaults`, in order.
      flags: dotted keys (or regular expressions) to values, laid over the blocks; strings
        are parsed as the key's type.

    Returns:
      The typed configuration.

    Raises:
      UserError: unknown block or key (naming the nearest), or a value of the wrong type.
    """
    every = blocks()
    flat = defaults(every)
    for name in names:
        if name not in every:
            options = [key for key in every if key != "defaults"]
            raise UserError(f"unknown config block {name!r}{nearest(name, options)}")
        if name != "defaults":
            flat = update(flat, flatten(every[name]), f"block {name}")
    return build(update(flat, flags or {}, "flag"))


def defaults(every: Mapping[str, Any]) -> Flat:
    """The flat defaults: `configs.yaml` over the options of every suite and of `RunConfig`."""
    flat: Flat = {f"run.{field.name}": field.default for field in dataclasses.fields(RunConfig)}
    for name, suite in embodied.envs.suites().items():
        for field in dataclasses.fields(suite.options):
            flat[f"env.{name}.{field.name}"] = field.default
    known = flatten(every["defaults"])
    unknown = [key for key in known if key.startswith("run.") and key not in flat]
    unknown += [k for k in known if k.startswith("env.") and k.count(".") > 1 and k not in flat]
    if unknown:
        raise UserError(f"configs.yaml: unknown key {unknown[0]!r}{nearest(unknown[0], flat)}")
    return {**known, **flat, **known}


def build(flat: Flat) -> Config:
    """Builds the typed configuration from complete flat keys."""
    return _build(Config, nest(flat), "")


def _build(cls: type, tree: Mapping[str, Any], prefix: str) -> Any:
    hints = get_type_hints(cls)
    values = {}
    for field in dataclasses.fields(cls):
        path = f"{prefix}{field.name}"
        if field.name not in tree:
            if field.default is dataclasses.MISSING:
                raise UserError(f"the configuration lacks the key {path!r}")
            continue
        value, hint = tree[field.name], hints[field.name]
        if dataclasses.is_dataclass(hint):
            value = _build(hint, value, f"{path}.")  # type: ignore[arg-type]
        elif isinstance(value, list):
            value = tuple(value)
        elif isinstance(value, Mapping):
            value = _freeze(value)
        elif hint is float:
            value = float(value)
        values[field.name] = value
    unknown = [key for key in tree if key not in values]
    if unknown:
        raise UserError(f"unknown key {prefix + unknown[0]!r}{nearest(unknown[0], values)}")
    try:
        return cls(**values)
    except OutOfRange as error:
        raise error.under(prefix) from error


def _freeze(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    frozen = {k: _freeze(v) if isinstance(v, Mapping) else v for k, v in tree.items()}
    return types.MappingProxyType(frozen)


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested dictionaries of a configuration, fit for yaml or json."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        return list(value) if isinstance(value, tuple) else value

    return plain(config)


def dump(config: Config) -> str:
    """The configuration as yaml text."""
    yaml = YAML()
    yaml.default_flow_style = False
    stream = io.StringIO()
    yaml.dump(to_dict(config), stream)
    return stream.getvalue()


def _shipped() -> Path:
    package = Path(__file__).parents[1]
    inside = package / "configs.yaml"
    return inside if inside.exists() else package.parent / "configs.yaml"
