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
    name = f"{balance.method.replace(':', '.')}{weights}"
    if config.base == bases.DEFAULT:
        return name
    return f"{name}_{config.base.removeprefix('dreamer').removeprefix('v3_')}"


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
    if label not in every:
        return label not in METHODS or runs == (label, {})
    block = {key: value for key, value in flatten(every[label]).items() if key not in NAMING}
    about = {k: v for k, v in block.items() if k == "harmony" or k.startswith("balance.")}
    # A block about nothing but the method must say all of it; another may leave it to others.
    whole = about and set(block) <= {*about, "base"}
    if block.get("base", bases.DEFAULT if whole else config.base) != config.base:
        return False
    own = {"balance.method": runs[0], "balance.weights": runs[1]}
    flat = update(defaults if whole else {**defaults, **own}, about, f"block {label}")
    return (flat["balance.method"], dict(flat["balance.weights"])) == runs


def refuse(config: Config) -> UserError:
    """What to say of a label that does not fit."""
    return UserError(
        f"label {config.label!r} is the name of another method or block than what runs, "
        f"{derive(config)!r}; leave it out, or give another. A method is chosen by --harmony True, "
        "--balance.method or its block in --configs"
    )
