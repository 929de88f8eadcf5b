"""Configurations of the released code, in its own key names, translated to ours.

Keys fall into four kinds, listed in `upstream_2023.yaml`: those that mean the same here (`same`),
those of which one value is implemented (`fixed`), those that change no number that is compared
(`inert` and `FREE`), and the rest, which do not exist. Defaults and blocks are the released code's,
not ours.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embodied.core.errors import UserError, nearest
from harmony_dreamerv3.config import Flat, overrides, read_yaml

OPTIMIZERS = ("model_opt", "actor_opt", "critic_opt")
# Keys without effect on what parameters and batches that are given lead to.
FREE = re.compile(
    r"seed|method|logdir|replay\w*|eval_dir|filter|data_loaders|actor_eval_sample|disag_\w+"
    r"|(run|env|envs|wrapper|jax|expl_rewards|expl_opt|disag_head)\..+"
)
# Two keys of theirs for one of ours, so that they must agree.
FREE_NATS = ("dyn_loss.free", "rep_loss.free")


@functools.cache
def tables() -> dict[str, Any]:
    """Returns `same` and `fixed` flat, `inert` a list of keys, `blocks` by name."""
    data = read_yaml(Path(__file__).with_name("upstream_2023.yaml"), shipped=True)
    return {
        **data,
        "same": overrides.flatten(data["same"]),
        "fixed": overrides.flatten(data["fixed"]),
    }


def resolve(names: Sequence[str], theirs: Mapping[str, Any]) -> Flat:
    """Lays blocks and overrides over the released code's defaults, in its manner.

    Args:
      names: its block names.
      theirs: its dotted keys, or regular expressions that match from the start of a key.

    Returns:
      All keys of `same`, `fixed` and `FREE_NATS`.

    Raises:
      UserError: for a block or key that it does not have, naming the nearest.
    """
    blocks = tables()["blocks"]
    flat = {**tables()["same"], **tables()["fixed"], **dict.fromkeys(FREE_NATS, 1.0)}
    for name in names:
        if name not in blocks:
            raise UserError(
                f"the released code has no config block {name!r}{nearest(name, blocks)}"
            )
        flat = _lay(flat, blocks[name])
    return _lay(flat, theirs)


def translate(names: Sequence[str], theirs: Mapping[str, Any]) -> Flat:
    """Our keys and values that compute what the released code does with its blocks and overrides.

    Raises:
      UserError: for a key that it does not have, or a value that is not implemented here.
    """
    flat = resolve(names, theirs)
    for key, value in tables()["fixed"].items():
        choice = overrides.convert(flat[key], value, key)
        if choice != (tuple(value) if isinstance(value, list) else value):
            raise UserError(f"{key}: only {value!r} is implemented here, got {flat[key]!r}")
    ours = {key: flat[key] for key in tables()["same"]}
    frees = [overrides.convert(flat[key], 1.0, key) for key in FREE_NATS]
    if frees[0] != frees[1]:
        raise UserError(
            f"{' and '.join(FREE_NATS)} are one key here, free_nats, and must agree; got {frees}"
        )
    ours["free_nats"] = frees[0]
    largest = overrides.convert(flat["retnorm.max"], 1.0, "retnorm.max")
    if not largest > 0:
        raise UserError(f"retnorm.max: expected a number above 0, got {largest}")
    ours["retnorm.max"] = 1 / largest  # There: returns are multiplied by this much at most.
    for opt in OPTIMIZERS:
        if overrides.convert(ours[f"{opt}.clip"], 1.0, f"{opt}.clip") == 0.0:
            ours[f"{opt}.clip"] = float("inf")  # There: no clipping.
    if overrides.convert(ours["harmony"], False, "harmony"):
        # There, harmonized losses ignore their scales; dyn and rep act through alpha.
        ours.update(dict.fromkeys([f"loss_scales.{k}" for k in ("image", "vector")], 1.0))
        ours.update(dict.fromkeys([f"loss_scales.{k}" for k in ("reward", "cont")], 1.0))
    ours["balance.dyn_regularizer"] = "released"
    ours["balance.vectors"] = False
    return ours


def _lay(flat: Flat, layer: Mapping[str, Any]) -> Flat:
    flat = dict(flat)
    for key, value in layer.items():
        if key in flat:
            flat[key] = value
        elif not overrides.PLAIN.fullmatch(key):
            flat.update(dict.fromkeys(_matching(key, flat), value))
        elif key not in tables()["inert"] and not FREE.fullmatch(key):
            hint = nearest(key, [*flat, *tables()["inert"]])
            raise UserError(f"the released code has no config key {key!r}{hint}")
    return flat


def _matching(key: str, flat: Flat) -> list[str]:
    try:
        pattern = re.compile(key)
    except re.error as error:
        raise UserError(f"override {key!r} is no regular expression: {error}") from error
    keys = [name for name in flat if pattern.match(name)]
    if not keys and not any(pattern.match(name) for name in tables()["inert"]):
        raise UserError(f"override {key!r} matches no config key of the released code")
    return keys
