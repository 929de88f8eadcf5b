"""Upstream's 2025 configuration in ours: its keys, defaults and blocks, as far as they matter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from embodied.core.errors import UserError, nearest
from harmony_dreamerv3.config import overrides

Flat = dict[str, Any]

_PARTS = ("enc.simple", "dec.simple", "dyn.rssm", "rewhead", "conhead", "policy", "value")
_NORM = {"rate": 0.01, "limit": 1e-8, "perclo": 5.0, "perchi": 95.0, "debias": True}


def _group(theirs: str, ours: str, values: Mapping[str, Any], **renamed: str) -> dict:
    """`{their key: (our keys, default)}` of keys below one prefix on each side."""
    return {
        f"{theirs}.{key}": ((".".join(filter(None, (ours, renamed.get(key, key)))),), value)
        for key, value in values.items()
    }


# Their key: our keys, and their default.
KEYS: dict[str, tuple[tuple[str, ...], Any]] = {
    **_group(
        "agent.dyn.rssm", "rssm",
        {"deter": 8192, "hidden": 1024, "stoch": 32, "classes": 64, "blocks": 8, "dynlayers": 1,
         "obslayers": 1, "imglayers": 2, "unimix": 0.01, "absolute": False},
        dynlayers="dyn_layers", obslayers="obs_layers", imglayers="img_layers",
    ),
    "agent.dyn.rssm.free_nats": (("free_nats",), 1.0),
    **_group(
        "agent.enc.simple", "encoder",
        {"depth": 64, "layers": 3, "units": 1024, "strided": False, "outer": False, "symlog": True},
    ),
    **_group(
        "agent.dec.simple", "decoder",
        {"depth": 64, "layers": 3, "units": 1024, "strided": False, "outer": False, "bspace": 8},
    ),
    **_group("agent.rewhead", "reward_head",
             {"layers": 1, "units": 1024, "outscale": 0.0, "bins": 255}),
    **_group("agent.conhead", "cont_head", {"layers": 1, "units": 1024, "outscale": 1.0}),
    **_group("agent.policy", "actor",
             {"layers": 3, "units": 1024, "outscale": 0.01, "minstd": 0.1, "maxstd": 1.0}),
    **_group("agent.value", "critic", {"layers": 3, "units": 1024, "outscale": 0.0, "bins": 255}),
    "agent.loss_scales.rec": (("loss_scales.image", "loss_scales.vector"), 1.0),
    **_group("agent.loss_scales", "loss_scales",
             {"rew": 1.0, "con": 1.0, "dyn": 1.0, "rep": 0.1, "policy": 1.0, "value": 1.0,
              "repval": 0.3}, rew="reward", con="cont"),
    **_group("agent.opt", "opt",
             {"lr": 4e-5, "warmup": 1000, "agc": 0.3, "wd": 0.0, "beta1": 0.9, "beta2": 0.999,
              "eps": 1e-20}),
    **_group("agent", "",
             {"reward_grad": True, "ac_grads": False, "contdisc": True, "horizon": 333.0,
              "imag_last": 0, "imag_length": 15, "repval_grad": True},
             imag_length="imag_horizon", repval_grad="repval.grad"),
    **_group("agent.imag_loss", "",
             {"slowtar": False, "lam": 0.95, "actent": 3e-4, "slowreg": 1.0},
             slowtar="slow_target", lam="return_lambda"),
    **_group("agent.repl_loss", "repval", {"lam": 0.95, "slowreg": 1.0}, lam="return_lambda"),
    **_group("agent.slowvalue", "slow_critic", {"rate": 0.02, "every": 1}),
    **_group("agent.retnorm", "retnorm", {"impl": "perc", **_NORM, "limit": 1.0, "debias": False}),
    **_group("agent.valnorm", "valnorm", {"impl": "none", **_NORM}),
    **_group("agent.advnorm", "advnorm", {"impl": "none", **_NORM}),
    "replay_context": (("run.replay_context",), 1),
    "consec_train": (("run.consec_train",), 1),
    "batch_size": (("batch_size",), 16),
    "batch_length": (("batch_length",), 64),
}  # fmt: skip

# What only one value of is implemented here.
FIXED: Flat = {
    "agent.enc.typ": "simple",
    "agent.dec.typ": "simple",
    "agent.dyn.typ": "rssm",
    "agent.policy_dist_disc": "categorical",
    "agent.policy_dist_cont": "bounded_normal",
    "agent.repval_loss": True,
    "agent.opt.schedule": "const",
    "agent.opt.wdregex": "/kernel$",
    **{f"agent.{side}.simple.kernel": 5 for side in ("enc", "dec")},
    **{f"agent.{side}.simple.mults": (2, 3, 4, 4) for side in ("enc", "dec")},
    **{f"agent.{part}.act": "silu" for part in _PARTS},
    **{f"agent.{part}.norm": "rms" for part in _PARTS},
    **{f"agent.{head}.output": "symexp_twohot" for head in ("rewhead", "value")},
    "agent.conhead.output": "binary",
    "jax.compute_dtype": "float32",
}

# Keys without effect on what given parameters and batches lead to: by upstream's own doing
# (actor unimix, momentum, slow targets of the replay value), or because they are about the run.
INERT = re.compile(
    r"task|seed|logdir|script|method|replica\w*|report_length|consec_report|random_agent"
    r"|clock\w+|errfile|agent\.policy\.unimix|agent\.opt\.(momentum|anneal)"
    r"|agent\.repl_loss\.slowtar|agent\.report\w*|agent\.dec\.simple\.outscale"
    r"|agent\.dyn\.rssm\.(outscale|unroll)|agent\.(\w+|(enc|dec|dyn)\.(simple|rssm))\.winit"
    r"|ipv6|(run|env|jax|logger|replay)\..+"
)


def _size(deter: int, hidden: int, classes: int) -> Flat:
    return {
        r".*\.rssm": {"deter": deter, "hidden": hidden, "classes": classes},
        r".*\.depth": classes,
        r".*\.units": hidden,
    }


SIZES: dict[str, Flat] = {
    "size1m": _size(512, 64, 4),
    "size12m": _size(2048, 256, 16),
    "size25m": _size(3072, 384, 24),
    "size50m": _size(4096, 512, 32),
    "size100m": _size(6144, 768, 48),
    "size200m": _size(8192, 1024, 64),
    "size400m": _size(12288, 1536, 96),
}

_PLAIN = ("defaults", "atari", "atari100k", "dmc_vision", "crafter", "dmlab", "procgen", "loconav",
          "minecraft", "bsuite", "multicpu")  # fmt: skip
# What each block sets of the keys that matter here; `defaults` is above.
BLOCKS: dict[str, Flat] = {
    **SIZES,
    **{name: {} for name in _PLAIN},
    "dmc_proprio": SIZES["size1m"],
    "debug": {
        "batch_size": 8, "batch_length": 10,
        r".*\.bins": 5, r".*\.layers": 1, r".*\.units": 8, r".*\.stoch": 2, r".*\.classes": 4,
        r".*\.deter": 8, r".*\.hidden": 3, r".*\.blocks": 4, r".*\.depth": 2,
    },
}  # fmt: skip


def resolve(names: Sequence[str], theirs: Mapping[str, Any]) -> Flat:
    """Lays blocks and overrides over upstream's defaults, in its manner.

    Args:
      names: its block names, in order.
      theirs: its keys, or regular expressions that match from the start of a flat key; values
        may be nested.

    Returns:
      All keys of `KEYS` and `FIXED`.

    Raises:
      UserError: for a block or key that it does not have.
    """
    flat = {**FIXED, **{key: value for key, (_, value) in KEYS.items()}}
    for name in names:
        if name not in BLOCKS:
            raise UserError(f"upstream has no config block {name!r}{nearest(name, BLOCKS)}")
        flat = _lay(flat, BLOCKS[name])
    return _lay(flat, theirs)


def translate(names: Sequence[str], theirs: Mapping[str, Any]) -> Flat:
    """Our dotted keys and values that compute what upstream computes with these.

    Raises:
      UserError: as `resolve`, and for a value that is not implemented here.
    """
    flat = resolve(names, theirs)
    for key, value in FIXED.items():
        if flat[key] != value:
            raise UserError(f"{key}: only {value!r} is implemented here, got {flat[key]!r}")
    return {ours: flat[key] for key, (names, _) in KEYS.items() for ours in names}


def _lay(flat: Flat, layer: Mapping[str, Any]) -> Flat:
    flat = dict(flat)
    for key, value in overrides.flatten(layer).items():
        keys = [key] if key in flat else _matching(key, flat)
        for name in keys:
            flat[name] = overrides.convert(value, flat[name], name)
    return flat


def _matching(key: str, flat: Flat) -> list[str]:
    if overrides.PLAIN.fullmatch(key):
        if not INERT.fullmatch(key):
            raise UserError(f"upstream has no config key {key!r}{nearest(key, flat)}")
        return []
    try:
        pattern = re.compile(key)
    except re.error as error:
        raise UserError(f"override {key!r} is no regular expression: {error}") from error
    names = [name for name in flat if pattern.match(name)]
    if not names:
        raise UserError(f"override {key!r} matches no config key of upstream")
    return names
