"""Configuration: yaml blocks and command-line flags to frozen dataclasses.

`configs.yaml` is the single source of defaults. A layer (a block, or the flags) is a flat
mapping from dotted keys to values; a key with other characters than those of names is a
regular expression that sets every key it matches from the start, as in DreamerV3.
"""

from __future__ import annotations

import dataclasses
import io
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

import embodied.envs
from embodied.core.errors import UserError, nearest
from embodied.run.config import RunConfig

# Keys below these are free: names of tasks and options that depend on other choices.
OPEN = ("balance.tasks", "balance.weights", "balance.options")
PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
Flat = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class RSSMConfig:
    """Sizes of the recurrent state-space model; `unimix` in [0, 1)."""

    deter: int
    units: int
    stoch: int
    classes: int
    unimix: float


@dataclasses.dataclass(frozen=True)
class CoderConfig:
    """Encoder or decoder: regular expressions of keys, sizes."""

    mlp_keys: str
    cnn_keys: str
    mlp_layers: int
    mlp_units: int
    cnn_depth: int
    minres: int


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    """An MLP head; `bins` of the two-hot heads."""

    layers: int
    units: int
    outscale: float
    bins: int = 255


@dataclasses.dataclass(frozen=True)
class ActorConfig:
    """The policy head; `unimix` for one-hot actions, `minstd`, `maxstd` for Gaussian ones."""

    layers: int
    units: int
    outscale: float
    unimix: float
    minstd: float
    maxstd: float


@dataclasses.dataclass(frozen=True)
class OptConfig:
    """Adam after clipping by global norm."""

    lr: float
    eps: float
    clip: float


@dataclasses.dataclass(frozen=True)
class LossScales:
    """Weights of the baseline; under other balance methods only dyn and rep act, as alpha."""

    image: float
    vector: float
    reward: float
    cont: float
    dyn: float
    rep: float


@dataclasses.dataclass(frozen=True)
class BalanceConfig:
    """Loss balancing: the method and its tasks (see docs/balance.md)."""

    method: str
    tasks: Mapping[str, Mapping[str, float | str]]
    weights: Mapping[str, float]
    dyn_regularizer: str
    vectors: bool
    options: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class RetnormConfig:
    """Return normalisation: EMA decay, least scale, percentiles."""

    decay: float
    max: float
    perclo: float
    perchi: float


@dataclasses.dataclass(frozen=True)
class JaxConfig:
    """Where and how the program runs."""

    platform: str
    precision: str
    matmul_precision: str
    prealloc: bool
    deterministic: bool
    cache: bool
    device_replay: str
    population_devices: int
    data_devices: int
    coordinator: str
    processes: int
    process: int
    debug_nans: bool


@dataclasses.dataclass(frozen=True)
class Config:
    """The whole configuration; field names are the keys of `configs.yaml`."""

    task: str
    method: str
    seed: int
    logdir: str
    rssm: RSSMConfig
    encoder: CoderConfig
    decoder: CoderConfig
    reward_head: HeadConfig
    cont_head: HeadConfig
    grad_heads: tuple[str, ...]
    loss_scales: LossScales
    free_nats: float
    model_opt: OptConfig
    balance: BalanceConfig
    actor: ActorConfig
    critic: HeadConfig
    actor_opt: OptConfig
    critic_opt: OptConfig
    imag_horizon: int
    horizon: float
    return_lambda: float
    actent: float
    retnorm: RetnormConfig
    slow_critic_fraction: float
    batch_size: int
    batch_length: int
    jax: JaxConfig
    run: RunConfig
    env: Mapping[str, Any]


def blocks(path: Path | None = None) -> dict[str, Any]:
    """Reads the blocks of `configs.yaml`.

    Args:
      path: another file; None for the one that ships with the package.
    """
    return read_yaml(path or _shipped())


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a yaml mapping without tags that could execute anything.

    Raises:
      UserError: when the file cannot be read or is not a mapping.
    """
    try:
        value = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path} as yaml: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"expected a mapping in {path}, got {type(value).__name__}")
    return value


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


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Flat:
    """Flattens nested mappings to dotted keys; open mappings stay whole."""
    flat: Flat = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and path not in OPEN:
            flat.update(flatten(value, f"{path}."))
        else:
            flat[path] = value
    return flat


def update(flat: Flat, layer: Mapping[str, Any], source: str) -> Flat:
    """Returns `flat` with a layer of keys or regular expressions laid over it.

    Args:
      flat: dotted keys to values.
      layer: the same, or regular expressions; `harmony` is short for the balance method.
      source: for messages, such as "block atari100k".

    Raises:
      UserError: a key that matches nothing, or a value of the wrong type.
    """
    flat = dict(flat)
    for key, value in layer.items():
        if key == "harmony":
            method = "harmony" if convert(value, False, key) else "fixed"
            flat["balance.method"] = method
            continue
        opened = next((path for path in OPEN if key == path or key.startswith(f"{path}.")), None)
        if opened:
            flat[opened] = _open(flat[opened], key.removeprefix(opened).lstrip("."), value, key)
            continue
        for match in _matches(key, flat, source):
            flat[match] = convert(value, flat[match], match)
    return flat


def _matches(key: str, flat: Flat, source: str) -> list[str]:
    if key in flat:
        return [key]
    if not PLAIN.fullmatch(key):
        try:
            pattern = re.compile(key)
        except re.error as error:
            raise UserError(f"{source}: {key!r} is no regular expression: {error}") from error
        found = [name for name in flat if pattern.match(name)]
        if found:
            return found
    raise UserError(f"{source}: unknown key {key!r}{nearest(key, [*flat, 'harmony'])}")


def _open(old: Mapping[str, Any], rest: str, value: Any, key: str) -> dict[str, Any]:
    """Sets `rest` (a dotted path) inside an open mapping; an empty one replaces it whole."""
    value = _scalar(value)
    if not rest:
        if not isinstance(value, Mapping):
            raise UserError(f"{key}: expected a mapping such as '{{a: 1}}', got {value!r}")
        return dict(value)
    head, _, tail = rest.partition(".")
    if not tail:
        return {**old, head: value}
    inner = old.get(head, {})
    return {**old, head: _open(inner if isinstance(inner, Mapping) else {}, tail, value, key)}


def _scalar(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        parsed = YAML(typ="safe", pure=True).load(value)
    except YAMLError:
        return value
    if isinstance(parsed, str) and re.fullmatch(r"[+-]?[0-9.]+e[+-]?[0-9]+", parsed):
        return float(parsed)
    return parsed


def convert(value: Any, default: Any, key: str) -> Any:
    """Converts a value from yaml or the command line to the type of the default.

    Args:
      value: what was given.
      default: value whose type is expected.
      key: for the message.

    Raises:
      UserError: when it cannot be.
    """
    kind = type(default)
    if isinstance(default, list | tuple):
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise UserError(f"{key}: expected a list, got {value!r}")
        return tuple(str(item).strip() for item in items if str(item).strip())
    if kind is str:
        return "" if value is None else str(value)
    text = str(value).strip()
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind in (int, float) and not isinstance(value, bool):
        try:
            number = float(text)
            if kind is float or number.is_integer():
                return kind(number)
        except (ValueError, OverflowError):
            pass
    raise UserError(f"{key}: expected {kind.__name__}, got {value!r}")


def build(flat: Flat) -> Config:
    """Builds the typed configuration from complete flat keys."""
    return _build(Config, nest(flat), "")


def nest(flat: Flat) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return tree


def _build(cls: type, tree: Mapping[str, Any], prefix: str) -> Any:
    hints = get_type_hints(cls)
    values = {}
    for field in dataclasses.fields(cls):
        path = f"{prefix}{field.name}"
        if field.name not in tree:
            if field.default is dataclasses.MISSING:
                raise UserError(f"configs.yaml: missing key {path!r}")
            continue
        value, hint = tree[field.name], hints[field.name]
        if dataclasses.is_dataclass(hint):
            value = _build(hint, value, f"{path}.")  # type: ignore[arg-type]
        elif isinstance(value, list):
            value = tuple(value)
        elif isinstance(value, Mapping):
            value = freeze(value)
        elif hint is float:
            value = float(value)
        values[field.name] = value
    unknown = [key for key in tree if key not in values]
    if unknown:
        raise UserError(f"unknown key {prefix + unknown[0]!r}{nearest(unknown[0], values)}")
    return cls(**values)


def freeze(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """A read-only view of nested mappings."""
    return types.MappingProxyType(
        {k: freeze(v) if isinstance(v, Mapping) else v for k, v in tree.items()}
    )


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


def parse_flags(args: Iterable[str]) -> Flat:
    """Reads `--key value` and `--key=value` pairs; several values make a list.

    Raises:
      UserError: for a value without a flag, or a flag without a value.
    """
    flags: Flat = {}
    key: str | None = None
    for arg in args:
        if arg.startswith("--") and len(arg) > 2:
            key, equals, value = arg[2:].partition("=")
            flags[key] = [value] if equals else []
        elif key is None:
            raise UserError(f"expected a flag such as --seed 0, got {arg!r}")
        else:
            flags[key].append(arg)
    empty = [name for name, values in flags.items() if not values]
    if empty:
        raise UserError(f"flag --{empty[0]} needs a value")
    return {name: values[0] if len(values) == 1 else values for name, values in flags.items()}


def _shipped() -> Path:
    inside = Path(__file__).parent / "configs.yaml"
    return inside if inside.exists() else Path(__file__).parent.parent / "configs.yaml"
