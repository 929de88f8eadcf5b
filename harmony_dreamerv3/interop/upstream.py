"""Configurations of the released code, in its own key names, translated to ours.

Keys fall into four kinds: those that mean the same here (`SAME`), those of which one value is
implemented (`FIXED`), those that change no number that is compared (`FREE`), and the rest,
which do not exist. Defaults and blocks are the released code's, not ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from embodied.core.errors import UserError, nearest
from harmony_dreamerv3.config import overrides

Flat = dict[str, Any]

_OPTIMIZERS = {"model_opt": (1e-4, 1e-8, 1000.0), "actor_opt": (3e-5, 1e-5, 100.0)}
_OPTIMIZERS["critic_opt"] = _OPTIMIZERS["actor_opt"]
_CODERS = ("encoder", "decoder")
_HEADS = ("reward_head", "cont_head", "actor", "critic")

# Keys with the same name and meaning here, with the released code's defaults.
SAME: Flat = {
    "task": "dummy_disc",
    "batch_size": 16,
    "batch_length": 64,
    "grad_heads": ["decoder", "reward", "cont"],
    **{f"rssm.{k}": v for k, v in {"deter": 4096, "units": 1024, "stoch": 32}.items()},
    "rssm.classes": 32,
    "rssm.unimix": 0.01,
    **{f"{side}.{k}": ".*" for side in _CODERS for k in ("mlp_keys", "cnn_keys")},
    **{f"{side}.mlp_layers": 5 for side in _CODERS},
    **{f"{side}.mlp_units": 1024 for side in _CODERS},
    **{f"{side}.cnn_depth": 96 for side in _CODERS},
    **{f"{side}.minres": 4 for side in _CODERS},
    **{f"{head}.layers": 5 for head in _HEADS},
    **{f"{head}.units": 1024 for head in _HEADS},
    **{f"{head}.outscale": 0.0 for head in ("reward_head", "critic")},
    **{f"{head}.outscale": 1.0 for head in ("cont_head", "actor")},
    **{f"{head}.bins": 255 for head in ("reward_head", "critic")},
    **{f"actor.{k}": v for k, v in {"unimix": 0.01, "minstd": 0.1, "maxstd": 1.0}.items()},
    **{f"loss_scales.{k}": 1.0 for k in ("image", "vector", "reward", "cont")},
    "loss_scales.dyn": 0.5,
    "loss_scales.rep": 0.1,
    **{
        f"{opt}.{key}": value
        for opt, values in _OPTIMIZERS.items()
        for key, value in zip(("lr", "eps", "clip"), values)
    },
    "imag_horizon": 15,
    "horizon": 333.0,
    "return_lambda": 0.95,
    "actent": 3e-4,
    "retnorm.decay": 0.99,
    "retnorm.max": 1.0,
    "retnorm.perclo": 5.0,
    "retnorm.perchi": 95.0,
    "slow_critic_fraction": 0.02,
    "harmony": False,
}

# Keys of which only the default is implemented.
FIXED: Flat = {
    "task_behavior": "Greedy",
    "expl_behavior": "None",
    **{f"{part}.act": "silu" for part in ("rssm", *_CODERS, *_HEADS)},
    **{f"{part}.norm": "layer" for part in ("rssm", *_CODERS, *_HEADS)},
    "rssm.initial": "learned",
    "rssm.action_clip": 1.0,
    **{f"{side}.cnn": "resnet" for side in _CODERS},
    **{f"{side}.cnn_blocks": 0 for side in _CODERS},
    **{f"{side}.resize": "stride" for side in _CODERS},
    "encoder.symlog_inputs": True,
    "decoder.image_dist": "mse",
    "decoder.vector_dist": "symlog_mse",
    "decoder.cnn_sigmoid": False,
    **{f"{head}.inputs": ["deter", "stoch"] for head in ("decoder", *_HEADS)},
    **{f"{head}.outnorm": False for head in _HEADS},
    **{f"{head}.symlog_inputs": False for head in ("actor", "critic")},
    "reward_head.dist": "symlog_disc",
    "critic.dist": "symlog_disc",
    "cont_head.dist": "binary",
    **{f"loss_scales.{k}": 1.0 for k in ("actor", "critic", "slowreg")},
    "dyn_loss.impl": "kl",
    "rep_loss.impl": "kl",
    **{f"{opt}.opt": "adam" for opt in _OPTIMIZERS},
    **{f"{opt}.{key}": 0.0 for opt in _OPTIMIZERS for key in ("wd", "lateclip", "warmup")},
    "actor_dist_disc": "onehot",
    "actor_dist_cont": "normal",
    "actor_grad_disc": "reinforce",
    "actor_grad_cont": "backprop",
    "critic_type": "vfunction",
    "critic_slowreg": "logprob",
    "slow_critic_update": 1,
    "retnorm.impl": "perc_ema",
}

# Keys without effect on what parameters and batches that are given lead to; whole groups of
# them, and those that patterns might be meant for.
FREE = re.compile(
    r"seed|method|logdir|replay\w*|eval_dir|filter|data_loaders|actor_eval_sample|disag_\w+"
    r"|(run|env|envs|wrapper|jax|expl_rewards|expl_opt|disag_head)\..+"
)
INERT = (
    "imag_unroll",
    "rssm.unroll",
    "decoder.outscale",
    *(f"{part}.{k}" for part in ("rssm", *_CODERS, *_HEADS) for k in ("winit", "fan")),
    *(f"jax.{k}" for k in ("platform", "jit", "precision", "prealloc", "debug", "debug_nans")),
    *(f"run.{k}" for k in ("script", "steps", "train_ratio", "log_every", "eval_every")),
)
# Two keys of theirs for one of ours, so that they must agree.
FREE_NATS = ("dyn_loss.free", "rep_loss.free")

_IMAGES: Flat = {f"{side}.{k}": v for side in _CODERS for k, v in
                 (("mlp_keys", "$^"), ("cnn_keys", "image"))}  # fmt: skip


def _size(deter: int, depth: int, layers: int, units: int) -> Flat:
    return {
        "rssm.deter": deter,
        r".*\.cnn_depth": depth,
        r".*\.layers": layers,
        r".*\.units": units,
    }


_SMALL = _size(512, 32, 2, 512)
_VECTORS = {f"{side}.mlp_keys": ".*" for side in _CODERS}
_INVENTORY = "inventory|inventory_max|equipped|health|hunger|breath"

# What each block sets of the keys that matter here.
BLOCKS: dict[str, Flat] = {
    "defaults": {},
    "minecraft": {
        **_IMAGES,
        "encoder.mlp_keys": f"{_INVENTORY}|reward",
        "decoder.mlp_keys": _INVENTORY,
    },
    "dmlab": _IMAGES,
    "atari": {"task": "atari_pong", **_IMAGES},
    "atari100k": {"task": "atari_pong", **_SMALL, **_IMAGES},
    "crafter": {**_size(4096, 96, 5, 1024), **_IMAGES},
    "dmc_vision": {"task": "dmc_walker_walk", **_SMALL, **_IMAGES},
    "dmc_remastered": {"task": "dmcr_walker_walk", **_SMALL, **_IMAGES},
    "dmcr_hopper": {},
    "metaworld": {
        "task": "metaworld_lever_pull",
        "grad_heads": ["decoder", "reward"],
        **_size(1024, 48, 3, 640),
        "batch_size": 50,
        "batch_length": 50,
        **_IMAGES,
    },
    "dmc_proprio": {
        "task": "dmc_walker_walk",
        **_SMALL,
        **_VECTORS,
        **{f"{side}.cnn_keys": "$^" for side in _CODERS},
    },
    "bsuite": {**_SMALL, **_IMAGES, **{f"{side}.cnn_keys": "observation" for side in _CODERS}},
    "loconav": {**_IMAGES, **_VECTORS},
    "small": _SMALL,
    "medium": _size(1024, 48, 3, 640),
    "large": _size(2048, 64, 4, 768),
    "xlarge": _size(4096, 96, 5, 1024),
    "multicpu": {"batch_size": 12, "batch_length": 10},
    "debug": {
        "batch_size": 8,
        "batch_length": 12,
        "encoder.cnn_depth": 8,
        "decoder.cnn_depth": 8,
        "rssm.deter": 32,
        "rssm.units": 16,
        "rssm.stoch": 4,
        "rssm.classes": 4,
        r".*\.layers": 2,
        r".*\.units": 16,
    },
}


def resolve(names: Sequence[str], theirs: Mapping[str, Any]) -> Flat:
    """Lays blocks and overrides over the released code's defaults, in its manner.

    Args:
      names: its block names.
      theirs: its dotted keys, or regular expressions that match from the start of a key.

    Returns:
      All keys of `SAME`, `FIXED` and `FREE_NATS`.

    Raises:
      UserError: for a block or key that it does not have, naming the nearest.
    """
    flat = {**SAME, **FIXED, **dict.fromkeys(FREE_NATS, 1.0)}
    for name in names:
        if name not in BLOCKS:
            raise UserError(
                f"the released code has no config block {name!r}{nearest(name, BLOCKS)}"
            )
        flat = _lay(flat, BLOCKS[name])
    return _lay(flat, theirs)


def translate(names: Sequence[str], theirs: Mapping[str, Any]) -> Flat:
    """Our keys and values that compute what the released code computes with these.

    Args:
      names: its block names.
      theirs: its keys or regular expressions.

    Raises:
      UserError: for a key that it does not have, or a value that is not implemented here.
    """
    flat = resolve(names, theirs)
    for key, value in FIXED.items():
        given = overrides.convert(flat[key], value, key)
        if given != (tuple(value) if isinstance(value, list) else value):
            raise UserError(f"{key}: only {value!r} is implemented here, got {flat[key]!r}")
    ours = {key: flat[key] for key in SAME}
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
    for opt in _OPTIMIZERS:
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
        elif key not in INERT and not FREE.fullmatch(key):
            hint = nearest(key, [*flat, *INERT])
            raise UserError(f"the released code has no config key {key!r}{hint}")
    return flat


def _matching(key: str, flat: Flat) -> list[str]:
    try:
        pattern = re.compile(key)
    except re.error as error:
        raise UserError(f"override {key!r} is no regular expression: {error}") from error
    found = [name for name in flat if pattern.match(name)]
    if not found and not any(pattern.match(name) for name in INERT):
        raise UserError(f"override {key!r} matches no config key of the released code")
    return found
