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
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from ruamel.yaml import YAML

import embodied.envs
from embodied.core.errors import UserError, nearest
from embodied.core.ranges import OutOfRange
from embodied.run.config import RunConfig
from harmony_dreamerv3.config import bases, labels
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
from harmony_dreamerv3.config.yaml_file import read_yaml

BASES = "bases"  # of configs.yaml: base -> the defaults of its keys


def blocks(path: Path | None = None) -> dict[str, Any]:
    """Reads the blocks of `configs.yaml`.

    Args:
      path: another file; None for the one that ships with the package.
    """
    return read_yaml(path or _shipped(), shipped=path is None)


# Keys of earlier versions, so that their runs go on: the name now, and the value.
RENAMED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "run.eval_process": ("run.eval_processes", lambda value: -1 if value else 0),
    "method": ("label", str),
}
# Keys that earlier versions lack, with the value that means what they did; options of suites have
# their defaults.
ADDED: Flat = {
    "base": bases.DEFAULT, "balance.lr": 0.0, "balance.init": "one",
    "run.random_fill": True, "run.pretrain": 0, "run.consec_train": 1, "run.replay_context": 0,
    "run.replay_online": False, "run.replay_episodes": False, "run.replay_ends": False,
    "run.replay_minlen": 0, "run.episode_limit": 27_000,
}  # fmt: skip


def upgrade(tree: Mapping[str, Any]) -> Flat:
    """Flattens the configuration of a run, which an earlier version may have written."""
    own = defaults(blocks())
    options = {key: own[key] for key in own if key.startswith("env.")}
    flat = {**options, **ADDED, **flatten(tree)}
    for old, (new, translate) in RENAMED.items():
        if old in flat:
            flat[new] = translate(flat.pop(old))
    return flat


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


def make(names: Sequence[str] = (), flags: Mapping[str, Any] | None = None) -> Config:
    """Builds a configuration from blocks and flags.

    Args:
      names: blocks laid over the defaults, in order.
      flags: dotted keys (or regular expressions) to values, laid over the blocks; strings
        are parsed as the key's type.

    Returns:
      The typed configuration.

    Raises:
      UserError: unknown block or key (naming the nearest), a value of the wrong type, a block or
        key of another base, or a label that is the name of something else.
    """
    every, flags = blocks(), dict(flags or {})
    layers = [(f"block {name}", _block(every, name)) for name in names if name != "defaults"]
    stated = [layer["base"] for _, layer in layers if "base" in layer]
    base = str(flags.get("base", stated[-1] if stated else bases.DEFAULT))
    flat = defaults(every, base)
    config = build(lay(flat, base, [*layers, ("flag", flags)]))
    if labels.fits(config, config.label, every, flat):
        return config
    if {"label", "method"} & set(flags):
        raise labels.refuse(config)
    return dataclasses.replace(config, label="")  # Of a block that does not run as it stands.


def lay(flat: Flat, base: str, layers: Iterable[tuple[str, Mapping[str, Any]]]) -> Flat:
    """Lays blocks and flags over the complete keys of a configuration.

    Args:
      flat: dotted keys to values.
      base: the base of the run.
      layers: where each comes from, such as "block atari100k", and its keys.

    Raises:
      UserError: see `make`.
    """
    flat = {key: value for key, value in flat.items() if key != "base"}
    for source, layer in layers:
        own = str(layer.get("base", base))
        if own != base:
            raise UserError(f"{source} is of base {own}, this run's base is {base}; {_of(base)}")
        keys = {key: value for key, value in layer.items() if key != "base"}
        try:
            flat = update(flat, keys, source)
        except UnknownKey as error:
            raise _foreign(error.key, base, f"{source}: ") or error from error
    return {"base": base, **flat}


def _block(every: Mapping[str, Any], name: str) -> Flat:
    if name not in block_names(every):
        options = [key for key in block_names(every) if key != "defaults"]
        raise UserError(f"unknown config block {name!r}{nearest(name, options)}")
    return flatten(every[name])


def block_names(every: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the blocks of `blocks()`, without the defaults of the bases."""
    return tuple(name for name in every if name != BASES)


def _of(base: str) -> str:
    """What to do about a block of another base."""
    every = blocks()
    own = [name for name in block_names(every) if dict(every[name]).get("base") == base]
    return f"blocks of {base}: {', '.join(own) or 'none'}"


def _foreign(key: str, base: str, prefix: str) -> UserError | None:
    """Returns what to say of a key of another base; None where no base has it."""
    for other in bases.MODULES:
        if other != base and key in _known(other):
            hint = nearest(key, _known(base))
            return UserError(
                f"{prefix}{key!r} is a key of base {other}, this run's base is {base}{hint}"
            )
    return None


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
    return {"base": base, **flatten(every["defaults"]), **flatten(every[BASES][base]), **flat}


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


def _shipped() -> Path:
    package = Path(__file__).parents[1]
    inside = package / "configs.yaml"
    return inside if inside.exists() else package.parent / "configs.yaml"
