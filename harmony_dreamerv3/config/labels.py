"""Labels: how tables call a run, which is never the name of another method than what runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embodied.core.errors import UserError
from harmony_dreamerv3.config import bases
from harmony_dreamerv3.config.overrides import Flat, flatten, update
from harmony_dreamerv3.config.settings import METHODS, Config

NAMING = ("label", "method")  # keys of a block that change nothing


def derive(config: Config) -> str:
    """The label of a run that was given none, such as `dreamerv3`, `harmony` or `harmony_2025`."""
    balance = config.balance
    if balance.method == "fixed" and not balance.weights:
        return config.base
    weights = "".join(f"-{task}{weight:g}" for task, weight in balance.weights.items())
    return f"{balance.method.replace(':', '.')}{weights}{_suffix(config.base)}"


def _suffix(base: str) -> str:
    return "" if base == bases.DEFAULT else f"_{base.removeprefix('dreamer').removeprefix('v3_')}"


def of(config: Config, name: str, every: Mapping[str, Any]) -> str:
    """The label that a block gives: its name, on other bases than the default `harmony_v2`, …

    Args:
      config: what runs.
      name: the block's.
      every: the blocks.
    """
    block = every.get(name, {})
    general = "base" not in block and _whole(_content(block))
    return name + (_suffix(config.base) if general else "")


def _content(block: Mapping[str, Any]) -> Flat:
    return {key: value for key, value in flatten(block).items() if key not in NAMING}


def _about(block: Flat) -> Flat:
    """The keys of a block that choose the method."""
    return {k: v for k, v in block.items() if k == "harmony" or k.startswith("balance.")}


def _whole(block: Flat) -> bool:
    """Whether a block is about nothing but the method, so that it must say all of it."""
    about = _about(block)
    return bool(about) and set(block) <= {*about, "base"}


def fits(config: Config, label: str, every: Mapping[str, Any], defaults: Flat) -> bool:
    """Whether a label is free, or names what runs.

    Args:
      config: what runs.
      label: its label.
      every: the blocks.
      defaults: flat defaults of the configuration's base.
    """
    if label in ("", derive(config)):
        return True
    if label in bases.MODULES and label not in every:
        return False
    runs = (config.balance.method, dict(config.balance.weights))
    # `wr10_v2` is the block wr10 on the base dreamerv2.
    stems = (label.removesuffix(_suffix(base)) for base in bases.MODULES if _suffix(base))
    name = next((stem for stem in [label, *stems] if stem in every), None)
    if name is None:
        return label not in METHODS or runs == (label, {})
    if of(config, name, every) != label:
        return False
    block = _content(every[name])
    about, whole = _about(block), _whole(block)
    if block.get("base", config.base) != config.base:
        return False
    own = {"balance.method": runs[0], "balance.weights": runs[1]}
    flat = update(defaults if whole else {**defaults, **own}, about, f"block {name}")
    return (flat["balance.method"], dict(flat["balance.weights"])) == runs


def refuse(config: Config) -> UserError:
    """What to say of a label that does not fit."""
    return UserError(
        f"label {config.label!r} is the name of another method or block than what runs, "
        f"{derive(config)!r}; leave it out, or give another. A method is chosen by --harmony True, "
        "--balance.method or its block in --configs"
    )
