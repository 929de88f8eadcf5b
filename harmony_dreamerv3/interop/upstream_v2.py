"""From the flat configurations of HarmonyDream's torch code and of DreamerPro to ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embodied.core.errors import UserError

Flat = Mapping[str, Any]

# Keys of which one value is implemented.
_BOTH: Flat = {
    "precision": 32, "rssm.act": "elu", "rssm.std_act": "sigmoid2", "encoder.act": "elu",
    "reward_head.act": "elu", "reward_head.dist": "mse", "actor.act": "elu", "critic.act": "elu",
    "critic.dist": "mse", "kl.forward": False, "kl.free_avg": True, "slow_target": True,
    "slow_target_fraction": 1.0, "model_opt.opt": "adam", "actor_opt.opt": "adam",
    "critic_opt.opt": "adam", "expl_behavior": "greedy",
}  # fmt: skip
_TORCH: Flat = {
    "dynamics_type": "rssm", "rssm.ensemble": 1, "rssm.norm": "none", "rssm.unimix": 0.0,
    "rssm.myopic": False, "encoder.norm": "none", "encoder.symlog_inputs": False,
    "decoder.act": "elu", "decoder.norm": "none", "decoder.cnn_dist": "mse",
    "decoder.mlp_dist": "mse", "encoder.res_norm": "batch", "encoder.res_depth": 3,
    "encoder.res_layers": 2, "decoder.res_norm": "batch", "decoder.res_depth": 3,
    "decoder.res_layers": 2, "reward_head.norm": "none", "reward_head.outscale": 1.0,
    "actor.norm": "none", "actor.unimix": 0.0, "actor.symlog_inputs": False, "critic.norm": "none",
    "critic.symlog_inputs": False, "critic.outscale": 1.0, "actor_grad": "auto",
    "actor.dist": "auto", "reward_perc": False, "reward_norm.momentum": 1.0,
    "reward_norm.scale": 1.0, "slow_regularizer": False, "imag_batch": -1,
}  # fmt: skip
_PRO: Flat = {
    "pred_discount": False, "rssm.discrete": False, "encoder.keys": ["image"],
    "clip_rewards": "identity", "actor.dist": "tanh_normal", "actor_grad": "dynamics",
    "ema_update_every": 1, "aug.same_across_time": True, "aug.bilinear": True,
}  # fmt: skip
_RENAMED = {
    "rssm.deter": "rssm.deter", "rssm.hidden": "rssm.hidden", "rssm.stoch": "rssm.stoch",
    "rssm.minstd": "rssm.min_std", "reward_head.layers": "reward_head.layers",
    "reward_head.units": "reward_head.units", "discount_head.layers": "discount_head.layers",
    "discount_head.units": "discount_head.units", "actor.layers": "actor.layers",
    "actor.units": "actor.units", "actor.minstd": "actor.min_std",
    "critic.layers": "critic.layers", "critic.units": "critic.units", "free_nats": "kl.free",
    "kl_balance": "kl.balance", "loss_scales.reward": "loss_scales.reward",
    "loss_scales.kl": "loss_scales.kl", "clip_rewards": "clip_rewards", "discount": "discount",
    "return_lambda": "discount_lambda", "actent": "actor_ent",
    "slow_critic_every": "slow_target_update", "predict_discount": "pred_discount",
}  # fmt: skip
_TORCH_ONLY = {
    "loss_scales.image": "loss_scales.image", "loss_scales.vector": "loss_scales.proprio",
    "loss_scales.discount": "loss_scales.discount", "imag_horizon": "imag_horizon",
}  # fmt: skip
_PRO_ONLY = {
    "encoder.cnn_depth": "encoder.depth", "encoder.kernels": "encoder.kernels",
    "prototypes.count": "rssm.num_prototypes", "prototypes.dim": "rssm.proto",
    "prototypes.temperature": "rssm.temperature", "prototypes.sinkhorn_eps": "rssm.sinkhorn_eps",
    "prototypes.sinkhorn_iters": "rssm.sinkhorn_iters", "prototypes.warm_up": "rssm.warm_up",
    "prototypes.shift": "aug.max_delta", "prototypes.ema": "ema_update_fraction",
    "prototypes.freeze": "freeze_prototypes_iters", "loss_scales.swav": "loss_scales.swav",
    "loss_scales.temp": "loss_scales.temp", "loss_scales.norm": "loss_scales.norm",
}  # fmt: skip
_KINDS = {"plaincnn": "plain", "resnet": "residual"}


def flags(config: Flat, base: str) -> dict[str, Any]:
    """Our keys for a bundle's flat `meta.config`.

    Args:
      config: its keys and values.
      base: `dreamerv2` or `dreamerpro`.

    Raises:
      UserError: for a key that is missing, or a value that is not implemented.
    """
    torch = base == "dreamerv2"
    for key, only in {**_BOTH, **(_TORCH if torch else _PRO)}.items():
        if _get(config, key) != only:
            raise UserError(f"{key}: only {only!r} is implemented, got {config[key]!r}")
    names = {**_RENAMED, **(_TORCH_ONLY if torch else _PRO_ONLY)}
    ours: dict[str, Any] = {"base": "dreamerv2"}
    ours |= {name: _get(config, key) for name, key in names.items()}
    for opt in ("model_opt", "actor_opt", "critic_opt"):
        ours |= {
            f"{opt}.{key}": _get(config, f"{opt}.{key}") for key in ("lr", "eps", "clip", "wd")
        }
        ours[f"{opt}.decay"] = "coupled" if torch else "decoupled"
    return ours | (_torch(config) if torch else _pro(config))


def _torch(config: Flat) -> dict[str, Any]:
    classes = _get(config, "rssm.discrete")
    ours: dict[str, Any] = {"rssm.classes": int(classes), "entropy_in_critic_target": True}
    for side in ("encoder", "decoder"):
        kind = _get(config, f"{side}_type")
        if kind not in _KINDS:
            raise UserError(f"{side}_type: expected one of {', '.join(_KINDS)}, got {kind!r}")
        layers = _get(config, f"{side}.mlp_layers")
        if not isinstance(layers, list) or not layers or len(set(layers)) != 1:
            raise UserError(f"{side}.mlp_layers: expected equal sizes such as [400, 400]")
        ours |= {
            f"{side}.kind": _KINDS[kind],
            f"{side}.mlp_layers": len(layers),
            f"{side}.mlp_units": layers[0],
            f"{side}.kernels": _get(config, f"{side}.cnn_kernels"),
            **{
                f"{side}.{k}": _get(config, f"{side}.{k}")
                for k in ("cnn_depth", "cnn_keys", "mlp_keys")
            },
        }
    # This code harmonizes its decoder key `image` alone; bundles have no other.
    harmony = bool(_get(config, "harmony"))
    return ours | {"balance.method": "harmony" if harmony else "fixed"}


def _pro(config: Flat) -> dict[str, Any]:
    return {
        "observation": "prototypes", "rssm.classes": 0, "encoder.cnn_keys": "image",
        "encoder.mlp_keys": "$^", "decoder.cnn_keys": "$^", "decoder.mlp_keys": "$^",
        "actor.dist": "tanh_normal", "start_return": True, "balance.method": "fixed",
        # This code counts the start among the states of the horizon.
        "imag_horizon": int(_get(config, "imag_horizon")) - 1,
    }  # fmt: skip


def _get(config: Flat, key: str) -> Any:
    if key not in config:
        raise UserError(f"meta.config lacks the key {key!r}")
    return config[key]
