"""Configuration: yaml blocks and command-line flags to frozen dataclasses.

Each key has one default: those of `run` and `env` stand at their dataclasses, all others in
`configs.yaml`, in `defaults` for every base and in `bases` for one. `overrides` lays blocks and
flags over them, and the dataclasses say what values make sense.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_type_hints

from ruamel.yaml import YAML

from embodied.core.errors import UserError, nearest
from embodied.core.ranges import OutOfRange
from harmony_dreamerv3.config import bases, labels
from harmony_dreamerv3.config.blocks import blocks, blocks_of, collect, defaults, upgrade
from harmony_dreamerv3.config.overrides import (
    OPEN,
    Flat,
    UnknownKey,
    convert,
    flatten,
    nest,
    update,
)
from harmony_dreamerv3.config.settings import Config


def load(tree: Mapping[str, Any], source: object) -> Config:
    """Builds the configuration that `to_dict` described, checking every key and value.

    Args:
      tree: nested mappings from a file; `source` names it in messages.

    Raises:
      UserError: for an unknown or missing key, or a value of the wrong type.
    """
    flat = upgrade(tree)
    base = str(flat.pop("base"))
    try:
        bases.check(base)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    known = _known(base)
    for key, value in flat.items():
        if key not in known:
            raise _foreign(key, base, f"{source}: ") or UserError(
                f"{source}: unknown key {key!r}{nearest(key, known)}"
            )
        if key not in OPEN:
            flat[key] = convert(value, known[key], key)
        elif not isinstance(value, Mapping):
            raise UserError(f"{source}: {key}: expected a mapping, got {value!r}")
    return build({"base": base, **flat})


@functools.cache
def _known(base: str) -> Flat:
    """Every key of a configuration of a base but `base`, with a value of its type."""
    flat = flatten(to_dict(build(defaults(blocks(), base))))
    del flat["base"]
    return flat


@functools.cache
def _stated(base: str) -> Flat:
    """Every key that has its default in a file, or at `run` and `env`."""
    return defaults(blocks(), base)


def make(names: Sequence[str] = (), flags: Mapping[str, Any] | None = None) -> Config:
    """Builds a configuration from blocks and flags.

    Args:
      names: blocks or files laid over the defaults, in order; see `collect`.
      flags: dotted keys (or regular expressions) to values, laid over the blocks; strings
        are parsed as the key's type.

    Returns:
      The typed configuration.

    Raises:
      UserError: unknown block or key (naming the nearest), a value of the wrong type, a block or
        key of another base, or a label that is the name of something else.
    """
    (every, layers), flags = collect(names), dict(flags or {})
    stated = [layer["base"] for _, layer in layers if "base" in layer]
    base = str(flags.get("base", stated[-1] if stated else bases.DEFAULT))
    flat = defaults(every, base)
    config = build(lay(flat, base, [*layers, ("flag", flags)]))
    own_label = {"label", "method"} & set(flags)
    if not own_label:
        config = dataclasses.replace(config, label=labels.of(config, config.label, every))
    if labels.fits(config, config.label, every, flat):
        return config
    if own_label:
        raise labels.refuse(config)
    return dataclasses.replace(config, label="")  # Of a block that does not run as it stands.


def label_of(names: Sequence[str], name: str, flags: Mapping[str, Any]) -> str:
    """The label of a run with blocks `names`, `name` the last, and flags: that of this block."""
    return labels.of(make([*names, name], flags), name, collect([*names, name])[0])


def lay(flat: Flat, base: str, layers: Iterable[tuple[str, Mapping[str, Any]]]) -> Flat:
    """Lays blocks and flags over the complete keys of a configuration.

    Args:
      flat: dotted keys to values.
      base: the base of the run.
      layers: where each comes from, such as "block atari100k", and its keys.

    Raises:
      UserError: see `make`.
    """
    # What no file states, since a dataclass does; only the full name reaches it, also where a run
    # goes on, whose configuration has everything.
    unstated = {k: flat.get(k, v) for k, v in _known(base).items() if k not in _stated(base)}
    flat = {key: value for key, value in flat.items() if key != "base" and key not in unstated}
    for source, layer in layers:
        own = str(layer.get("base", base))
        if own != base:
            raise UserError(
                f"{source} is of base {own}, this run's base is {base}; use --base {own}, or "
                f"blocks of {base}: {', '.join(blocks_of(base)) or 'none'}"
            )
        keys = {key: value for key, value in layer.items() if key != "base"}
        flat |= {key: value for key, value in unstated.items() if key in keys}
        try:
            flat = update(flat, keys, source)
        except UnknownKey as error:
            raise _foreign(error.key, base, f"{source}: ") or error from error
    return {"base": base, **unstated, **flat}


def _foreign(key: str, base: str, prefix: str) -> UserError | None:
    """Returns what to say of a key of another base; None where no base has it."""
    for other in bases.MODULES:
        if other != base and key in _known(other):
            hint = nearest(key, _known(base))
            return UserError(
                f"{prefix}{key!r} is a key of base {other}, this run's base is {base}; "
                f"use --base {other}{hint}"
            )
    return None


def build(flat: Flat) -> Config:
    """Builds the typed configuration from complete flat keys."""
    tree = nest(flat)
    cls = bases.agent_config(tree["base"])
    agent = {key: tree.pop(key) for key in bases.keys(tree["base"]) if key in tree}
    return _build(Config, {**tree, "agent": _build(cls, agent, "")}, "")


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


def to_dict(config: Config) -> dict[str, Any]:
    """Plain nested dictionaries of a configuration, fit for yaml or json."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        return list(value) if isinstance(value, tuple) else value

    tree: dict[str, Any] = {}
    for key, value in plain(config).items():
        tree |= value if key == "agent" else {key: value}
    return tree


def dump(config: Config) -> str:
    """The configuration as yaml text."""
    yaml = YAML()
    yaml.default_flow_style = False
    stream = io.StringIO()
    yaml.dump(to_dict(config), stream)
    return stream.getvalue()
