"""From the run's configuration and blocks to the configuration of each method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from embodied.core.errors import UserError, nearest
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.config import Config, overrides

# What a method sets; what the run itself had there would leak into all of them.
OWN = ("balance.method", "balance.weights", "balance.options", "balance.init")
# Flags that name what the buffer has settled, or what the verb sets for each method.
TAKEN = {
    "seed": "--seeds",
    "label": "--methods",
    "method": "--methods",
    "logdir": "--out",
    "task": "another buffer",
}


def defaults(base: str) -> list[str]:
    """The baseline of a base, and harmony."""
    return [base, "harmony_2025" if base == "dreamerv3_2025" else "harmony"]


def make(base: Config, methods: Sequence[str], flags: Mapping[str, Any]) -> dict[str, Config]:
    """Lays every method's block, then the flags, over the configuration of the run.

    The run's own balancing (method, weights, options, start) is put back to the defaults first.

    Args:
      base: configuration of the run that collected the buffer.
      methods: blocks of configs.yaml, as for `sweep --methods`.
      flags: keys or regular expressions to values, as for `train`.

    Returns:
      Method -> configuration, in order.

    Raises:
      UserError: an unknown block or key (naming the nearest), or one that the verb sets.
    """
    for key in flags:
        if key in TAKEN:
            raise UserError(f"analyze does not take --{key}; use {TAKEN[key]}")
    twice = [name for name in methods if methods.count(name) > 1]
    if twice or not methods:
        raise UserError(f"--methods: {twice[0]!r} comes twice" if twice else "expected --methods")
    every = configs.blocks()
    fresh = configs.defaults(every, base.base)
    flat = overrides.flatten(configs.to_dict(base)) | {key: fresh[key] for key in OWN}
    result = {}
    for name in methods:
        options = [key for key in configs.block_names(every) if key != "defaults"]
        if name not in options:
            raise UserError(f"--methods: no config block {name!r}{nearest(name, options)}")
        layers = [(f"block {name}", overrides.flatten(every[name])), ("flag", flags)]
        config = configs.build(configs.lay(flat, base.base, layers))
        result[name] = dataclasses.replace(
            config,
            label=name,
            logdir="",
            task=base.task,
            jax=dataclasses.replace(
                config.jax,
                population_devices=1,
                data_devices=1,
                coordinator="",
                processes=1,
                process=0,
            ),
        )
    return result
