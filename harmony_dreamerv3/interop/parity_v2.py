"""HarmonyDream's torch code and DreamerPro against `--base dreamerv2`: the same numbers.

See `parity` for the form of bundles. Draws are modes, or what the bundle recorded; where DreamerPro
has the constant half log 2 pi in a loss, it is added here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from harmony_dreamerv3.agents.dreamerv2_frame import TrainState
from harmony_dreamerv3.interop import names_v2, recorded_v2, states_v2
from harmony_dreamerv3.interop.bundle import Arrays, Bundle
from harmony_dreamerv3.interop.names import flatten
from harmony_dreamerv3.interop.recorded_v2 import Recorded
from harmony_dreamerv3.interop.report import Row, compare
from harmony_dreamerv3.nets import prototypes
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.nets.rssm_v2 import State, entropy, features

Array = jax.Array
sg = jax.lax.stop_gradient
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
KEY: Any = np.zeros(2, np.uint32)  # Nothing is drawn from it.


def check(bundle: Bundle, jit: Callable) -> list[Row]:
    """Compares everything that a bundle expects; see `parity.check`.

    Args:
      bundle: of either code.
      jit: compiles a function.

    Raises:
      UserError: when no agent can be built for it.
    """
    agents = recorded_v2.build(bundle)
    naming = states_v2.naming(agents[0])
    batch = recorded_v2.batch(bundle, agents[0])
    state = recorded_v2.load(agents[0], naming, bundle)
    actual = _first_pass(agents[0], jit, naming, state, batch)
    actual |= _updates(agents, jit, naming, state, batch, bundle.params)
    frames = bundle.meta.get("view_frames")
    if "view/image" in actual and frames:
        actual["view/image"] = np.stack([actual["view/image"][row, t] for row, t in frames])
    return [compare(name, value, actual) for name, value in bundle.expect.items()]


def _first_pass(
    agent: Recorded, jit: Callable, naming: names_v2.Naming, state: TrainState, batch: Arrays
) -> Arrays:
    """Everything that is computed with the parameters before the update."""
    state = state.replace(params=prototypes.with_unit(state.params))
    model, start = jit(functools.partial(_world_model, agent))(state, batch)
    behavior = jit(functools.partial(_behavior, agent))(state, *start)
    out = {**model, **behavior, **_policies(agent, jit, state, batch)}
    actual = {}
    for name, value in out.items():
        value = np.asarray(value)
        if name.startswith("grads/"):
            path = tuple(name.split("/")[1:])
            name, value = f"grads/{naming.name(path)}", naming.dump(path, value)
        actual[name] = naming.embed(value) if name in ("embed", "ema_embed") else value
    return actual


def _updates(
    agents: tuple[Recorded, Recorded],
    jit: Callable,
    naming: names_v2.Naming,
    state: TrainState,
    batch: Arrays,
    params: Arrays,
) -> Arrays:
    """Two whole updates; what the bundle counts up, or keeps, without our having it, too."""
    actual: Arrays = {}
    steps = [jit(agents[0].train_step)]
    steps.append(steps[0] if agents[1].shifts is None else jit(agents[1].train_step))
    for number, (agent, step) in enumerate(zip(agents, steps, strict=True), 1):
        state, _, metrics = step(state, batch)
        values = {k: np.asarray(v) for k, v in metrics.items()}
        actual |= {k: np.asarray(v) for k, v in _losses(agent, values, f"update{number}/").items()}
        head = "after" if number == 1 else "after2"
        for path, value in flatten(states_v2.tree(state)).items():
            actual[f"{head}/{naming.name(path)}"] = naming.dump(path, np.asarray(value))
        for name in recorded_v2.counters(params):
            actual[f"{head}/{name}"] = params[name] + (number if "num_batches" in name else 0)
    return actual


def _world_model(agent: Recorded, state: TrainState, batch: Any) -> tuple[dict[str, Any], Any]:
    """Losses, predictions, gradients; and where imagination starts."""
    params = dict(agent.trained(state.params))["model"]
    grad = jax.value_and_grad(agent.model_loss, has_aux=True)
    (total, aux), grads = grad(params, state, batch, KEY)
    losses, post, prior = aux["losses"], aux["post"], aux["prior"]
    if not agent.torch:
        noise = agent.latent_noise(KEY, post["deter"].shape[:2])
        prior = {**prior, "stoch": prior["mean"] + prior["std"] * noise}
    out: dict[str, Any] = {"embed": aux["embed"], "pred/reward": aux["reward"]}
    out |= {f"post/{k}": v for k, v in post.items()} | {f"prior/{k}": v for k, v in prior.items()}
    out |= {f"grads/{'/'.join(k)}": v for k, v in flatten(grads).items()}
    norm = optax.tree.norm(
        prototypes.without_frozen(grads, state.updates < agent.c.prototypes.freeze)
    )
    means = {f"loss/{name}": loss.mean() for name, loss in losses.items()}
    out |= _losses(agent, {"loss/model": total, "grad_norm/model": norm, **means}, "")
    if agent.net.prototypes:
        out |= _prototypes(agent, aux, losses, batch)
    else:
        out |= _reconstruction(agent, state, aux, losses)
    return out, jax.tree.map(lambda x: sg(x).reshape(-1, *x.shape[2:]), (post, aux["is_terminal"]))


def _losses(agent: Recorded, metrics: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Scalars of an update, or of a first pass (`prefix` empty), under the bundle's names."""
    c, out = agent.c, {}
    total = {"model": metrics["loss/model"]}
    total |= {k: metrics[f"loss/{k}"] for k in ("actor", "critic") if f"loss/{k}" in metrics}
    share = c.kl_balance
    parts = {"kl": share * metrics["loss/dyn"] + (1 - share) * metrics["loss/rep"]}
    for name in agent.losses.scales:
        if name not in ("dyn", "rep"):
            parts[name] = metrics[f"loss/{name}"]
    if not agent.torch:
        out[f"{prefix}losses/reward_mse_half"] = parts["reward"]
        parts["reward"] = parts["reward"] + HALF_LOG_2PI
        total["model"] = total["model"] + c.loss_scales.reward * HALF_LOG_2PI
        if "critic" in total:
            weight = c.discount ** np.arange(c.imag_horizon)
            total["critic"] = total["critic"] + np.float32(weight.mean() * HALF_LOG_2PI)
    out |= {f"{prefix}{name}_loss": value for name, value in total.items()}
    form = "{}{}_loss" if prefix else "{}losses/{}"
    out |= {form.format(prefix, name): value for name, value in parts.items()}
    for name in total:
        out[f"{prefix}{name}_grad_norm"] = metrics[f"grad_norm/{name}"]
    return out


def _reconstruction(agent: Recorded, state: TrainState, aux: Any, losses: Any) -> dict[str, Any]:
    """What only the torch code's bundles expect of the world model."""
    out = {f"losses_bt/{name}": losses[name] for name in losses if losses[name].ndim}
    out["losses_bt/kl"] = aux["kl"]
    out["metrics/model_kl"] = aux["kl"].mean()
    out["metrics/prior_ent"] = entropy(aux["prior"]).mean()
    out["metrics/post_ent"] = entropy(aux["post"]).mean()
    if "discount" in aux:
        out["pred/discount"] = aux["discount"]
    for name, value in aux["slot"].items():
        out[f"pred/{name}"] = value[:, -1] if name in agent.net.images else value
        if name in agent.net.images:
            out[f"pred/{name}_mean_hw"] = value.mean((2, 3))
    for task, log_sigma in state.params["balance"].get("log_sigma", {}).items():
        index = names_v2.TASKS.index(task) + 1
        out[f"metrics/harmony_s{index}"] = log_sigma
        out[f"metrics/coeff{index}"] = jnp.exp(-log_sigma)
        out[f"metrics/sigma{index}"] = jnp.exp(log_sigma / 2)
        out[f"metrics/harmony_base{index}"] = jax.nn.softplus(log_sigma)
    return out


def _prototypes(agent: Recorded, aux: Any, losses: Any, batch: Any) -> dict[str, Any]:
    """What only DreamerPro's bundles expect of the world model."""
    slot, warm_up = aux["slot"], agent.c.prototypes.warm_up
    view = agent.prepare(batch, KEY)["image"]
    out = {
        "view/image": view, "view/image_mean_hw": view.mean((2, 3)),
        "ema_embed": slot["target_embed"], "prototypes": slot["prototypes"], "q": slot["q"],
        "kl_value": aux["kl"], "reward_nll": losses["reward"] + HALF_LOG_2PI,
        "losses/norm_obs": slot["norms"][0], "losses/norm_feat": slot["norms"][1],
        "log_pu": slot["log_pu"], "pu": jnp.exp(slot["log_pu"]),
        "log_pv": slot["log_pv"], "pv": jnp.exp(slot["log_pv"]),
    }  # fmt: skip
    for name, ours in (("obs", "obs_proj"), ("feat", "feat_proj"), ("ema", "target_proj")):
        proj = prototypes.unit(slot[ours])
        out |= {f"{name}_proj_raw": slot[ours], f"{name}_proj": proj}
        out[f"{name}_norm"] = jnp.linalg.norm(slot[ours], axis=-1)
        out[f"{name}_scores"] = proj[:, warm_up:] @ slot["prototypes"].T
    return out


def _behavior(agent: Recorded, state: TrainState, start: State, is_terminal: Any) -> dict[str, Any]:
    """Imagination, actor and critic with the world model before its update."""
    grad = jax.value_and_grad(agent.actor_loss, has_aux=True)
    (loss, aux), grads = grad(state.params["actor"], state, start, is_terminal, KEY)
    out: dict[str, Any] = {f"grads/actor/{'/'.join(k)}": v for k, v in flatten(grads).items()}
    out |= {"actor_loss": loss, "actor_grad_norm": optax.tree.norm(grads)}
    traj, feat = aux["traj"], features(aux["traj"].states)
    out |= {f"imag/{k}": v for k, v in traj.states.items()}
    out |= {f"imag/{k}": getattr(traj, k) for k in ("reward", "discount", "weight")}
    out |= {"imag/value": aux["value"], "imag/target": aux["returns"]}
    out |= {"imag/target_critic": aux["target"], "imag/entropy": aux["entropy"]}
    out["imag/critic"] = run(agent.net.critic, state.params["critic"], feat)
    policy, action = agent.net.policy(state.params["actor"], feat), traj.action
    if agent.torch:
        # The action that led to a state; zeros at the start.
        out["imag/action"] = jnp.concatenate([jnp.zeros_like(action[:1]), action])
    else:  # Actions and policies of all states, the last one among them.
        noise: Any = agent.action_noise(KEY, feat.shape[:2])
        out["imag/action"], out["imag/entropy"] = policy.sample(noise), policy.entropy(noise[None])
        out["actor_ent"] = out["imag/entropy"].mean()
    count = len(out["imag/entropy"])  # of the torch code those of states whose actions count
    if agent.net.discrete:
        out["imag/actor_logit"] = policy.logits[:count]
    else:
        out |= {"imag/actor_mean": policy.mean[:count], "imag/actor_std": policy.std[:count]}
    traj = sg(traj)
    loss, grads = jax.value_and_grad(agent.critic_loss)(state.params["critic"], traj, aux["target"])
    out |= {f"grads/critic/{'/'.join(k)}": v for k, v in flatten(grads).items()}
    out["critic_grad_norm"] = optax.tree.norm(grads)
    constant = 0.0 if agent.torch else HALF_LOG_2PI * traj.weight[:-1].mean()
    return out | {"critic_loss": loss + constant}


def _policies(agent: Recorded, jit: Callable, state: TrainState, batch: Any) -> dict[str, Any]:
    """Actions at the first steps of the batch, the state carried over, parameters of before."""
    out: dict[str, Any] = {}
    params, rows = agent.policy_params(state), len(batch["is_first"])
    observe = jit(agent.filter)
    runs = {"policy": "eval"} if agent.torch else {"policy": "eval", "policy_train": "train"}
    for name, mode in runs.items():
        step = jit(functools.partial(agent.policy, mode=mode))
        carry = agent.initial_carry(rows)
        for index in range(min(2 if agent.torch else 3, batch["is_first"].shape[1])):
            obs = {k: np.asarray(batch[k][:, index]) for k in agent.obs_keys}
            if not agent.torch:
                obs["is_first"] = np.full(rows, index == 0) | (np.arange(rows) == 1) & (index == 2)
            post = observe(params, carry, obs, KEY)
            carry, action = step(params, carry, obs, KEY)
            prefix = f"{name}{index + 1 if index else ''}"
            out[f"{prefix}/action"] = action
            out |= {f"{prefix}/{k}": v for k, v in post.items()}
    return out
