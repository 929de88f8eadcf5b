"""The 2023 base against the released code: the same parameters and batch, the same numbers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from embodied.core.errors import UserError, nearest
from embodied.core.space import Space
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.agents.dreamerv3 import Agent, TrainState
from harmony_dreamerv3.interop import upstream
from harmony_dreamerv3.interop.bundle import FLAGS, Arrays, Bundle, shape_of
from harmony_dreamerv3.interop.names import (
    HARMONIZERS,
    export_params,
    flatten,
    idle_harmonizers,
    import_params,
    upstream_name,
)
from harmony_dreamerv3.interop.report import Row, compare
from harmony_dreamerv3.nets.distributions import symexp
from harmony_dreamerv3.nets.rssm import State

MAX_IMAGINED = 1 << 30  # numbers in an imagined trajectory


def check(bundle: Bundle, jit: Callable) -> list[Row]:
    """Compares everything that a bundle of the released code expects; see `parity.check`.

    Raises:
      UserError: when no agent can be built for it.
    """
    agent = build_agent(bundle.meta)
    batch = check_batch(bundle.batch, agent)
    state = import_params(agent, bundle.params)
    _check_size(agent, batch)
    parts = {name.partition("/")[0] for name in bundle.expect}
    actual = compute(agent, jit, state, batch, parts)
    for name in idle_harmonizers(bundle.params.keys() & export_params(state).keys()):
        if name in bundle.params:
            _idle(name, bundle.params[name], actual)
    return [compare(name, value, actual) for name, value in bundle.expect.items()]


def build_agent(meta: Mapping[str, Any]) -> Agent:
    """Builds the agent that a bundle's `meta` describes, drawing modes.

    Every deviation flag is set to the released code's side.

    Raises:
      UserError: for a configuration that does not exist or is not implemented.
    """
    sampling = meta.get("sampling", "mode")
    if sampling != "mode":
        raise UserError(
            f"meta.sampling is {sampling!r}; only bundles whose draws are modes ('mode') can be "
            "compared"
        )
    action = _action(meta["act_space"])
    flags = upstream.translate(meta["configs"], meta["overrides"])
    if str(meta["overrides"].get("jax.precision", "float32")) != "float32":
        raise UserError("jax.precision: only bundles made in float32 can be compared")
    config = configs.make((), {**flags, "jax.precision": "float32"})
    if config.balance.method == "fixed":
        # The released baseline adds losses one by one; groups change nothing but rounding.
        config = dataclasses.replace(config, balance=dataclasses.replace(config.balance, tasks={}))
    obs = {k: Space(v["dtype"], tuple(v["shape"])) for k, v in meta["obs_space"].items()}
    for key in ("reward", *FLAGS):
        if key not in obs or obs[key].shape:
            raise UserError(f"meta.obs_space must have the scalar {key!r}")
    agent = Agent(config, obs, {"action": action}, sampling=False)
    for key in {*agent.wm.encoder.cnn_keys, *agent.wm.images}:
        if obs[key].dtype != np.uint8:
            raise UserError(f"image {key!r} has the dtype {obs[key].dtype}, expected uint8")
    return agent


def _action(spaces: Mapping[str, Any]) -> Space:
    """Returns the one action space in `meta`."""
    if list(spaces) != ["action"]:
        raise UserError(f"meta.act_space must hold one `action`, got {spaces}")
    shape, discrete = (
        shape_of(spaces["action"], "act_space.action"),
        spaces["action"].get("discrete"),
    )
    if len(shape) != 1 or not isinstance(discrete, bool):
        raise UserError(
            f"meta.act_space.action must be {{shape: [A], discrete: bool}}, got {spaces['action']}"
        )
    return Space(np.float32, shape, discrete=discrete)


def check_batch(batch: Mapping[str, np.ndarray], agent: Agent) -> dict[str, np.ndarray]:
    """Returns the batch `[B, T, ...]` in the dtypes of the spaces.

    Raises:
      UserError: for a key that is missing or has another shape or kind of numbers.
    """
    spaces: Mapping[str, Any] = {**agent.obs_space, **agent.act_space}
    checked: dict[str, np.ndarray] = {}
    for key, space in spaces.items():
        if key not in batch:
            raise UserError(f"the bundle's batch lacks {key!r}{nearest(key, batch)}")
        value, lead = batch[key], batch[next(iter(spaces))].shape[:2]
        expected = (*lead, *space.shape)
        if value.ndim < 2 or value.shape != expected or not all(lead):
            axes = ", ".join(map(str, ("B", "T", *space.shape)))
            raise UserError(
                f"batch/{key}: expected shape [{axes}], with B and T those of the other keys, "
                f"got {list(value.shape)}"
            )
        dtype = np.dtype(bool) if key in FLAGS else np.dtype(space.dtype)
        if not np.can_cast(value.dtype, dtype, "same_kind"):
            raise UserError(f"batch/{key}: expected {dtype}, got {value.dtype}")
        checked[key] = value.astype(dtype)
    return checked


def compute(
    agent: Agent, jit: Callable, state: TrainState, batch: Mapping[str, Any], parts: set[str]
) -> Arrays:
    """Computes what a bundle may expect, under its names.

    Args:
      agent: draws modes.
      jit: compiles a function.
      state: before the update.
      batch: `[B, T, ...]`.
      parts: first parts of the expected names; what serves none of them is left out.
    """
    out: dict[str, Any] = {}
    if parts - {"after", "after2", "policy", "policy2"}:
        out.update(jit(functools.partial(_world_model, agent))(state, batch))
    if parts & {"grads", "actor_loss", "critic_loss", "imag", "retnorm_after"}:
        post = {key: out[f"post/{key}"] for key in ("deter", "stoch", "logit")}
        out.update(jit(functools.partial(_behavior, agent))(state, post, batch))
    if parts & {"after", "after2"}:
        step, new = jit(agent.train_step), state
        for name in ("after", "after2"):
            new, _, _ = step(new, batch)
            out.update({f"{name}/{k}": v for k, v in export_params(new).items()})
    if parts & {"policy", "policy2"}:
        _policy(agent, jit, state, batch, out)
    return {name: np.asarray(value) for name, value in out.items()}


def _world_model(agent: Agent, state: TrainState, batch: Any) -> dict[str, Any]:
    """World-model losses, predictions, gradients."""
    c = agent.config.agent.rssm
    params = {name: state.params[name] for name in ("world_model", "balance")}
    noise = jnp.zeros((*batch["is_first"].shape, c.stoch, c.classes))
    grad = jax.value_and_grad(agent.model_loss, has_aux=True)
    (total, aux), grads = grad(params, state, batch, noise)
    out: dict[str, Any] = {"model_loss": total, "embed": aux["embed"]}
    out.update({f"losses/{k}": v for k, v in aux["losses"].items()})
    out.update({f"post/{k}": v for k, v in aux["post"].items()})
    out.update({"prior/deter": aux["post"]["deter"], "prior/logit": aux["prior"]})
    out["prior/stoch"] = jax.nn.one_hot(jnp.argmax(aux["prior"], -1), c.classes)
    for name, value in aux["recon"].items():
        out[f"pred/{name}"] = symexp(value) if name in agent.wm.vectors else value
    out.update({"pred/reward": aux["reward"], "pred/cont": aux["cont"]})
    out.update({f"grads/{upstream_name(k)}": v for k, v in flatten(grads).items()})
    leaves = jax.tree.leaves(grads)
    out["model_grad_norm"] = jnp.sqrt(sum(jnp.square(leaf).sum() for leaf in leaves))
    for task, log_sigma in params["balance"].get("log_sigma", {}).items():
        index = HARMONIZERS[task][-1]
        out[f"metrics/coeff{index}"] = jnp.exp(-log_sigma)
        out[f"metrics/harmony_s{index}"] = log_sigma
    return out


def _behavior(agent: Agent, state: TrainState, post: State, batch: Any) -> dict[str, Any]:
    """Imagination, actor and critic with the world model before its update."""
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), post)
    is_terminal = batch["is_terminal"].reshape(-1)
    key = jnp.zeros(2, jnp.uint32)  # Nothing is drawn.
    grad = jax.value_and_grad(agent.actor_loss, has_aux=True)
    (loss, aux), grads = grad(state.params["actor"], state, flat, is_terminal, key)
    traj = aux["traj"]
    out: dict[str, Any] = {"actor_loss": loss}
    out.update({f"grads/{upstream_name(k)}": v for k, v in flatten({"actor": grads}).items()})
    out.update({f"imag/{k}": v for k, v in traj.states.items()})
    for name in ("action", "cont", "weight", "reward"):
        out[f"imag/{name}"] = getattr(traj, name)
    out["imag/return"], out["imag/value"] = aux["returns"], aux["value"][:-1]
    out["retnorm_after/low"], out["retnorm_after/high"] = aux["scale"]
    loss, grads = jax.value_and_grad(agent.behavior.critic_loss)(
        state.params["critic"], state.slow_critic, traj, aux["returns"]
    )
    out["critic_loss"] = loss
    out.update({f"grads/{upstream_name(k)}": v for k, v in flatten({"critic": grads}).items()})
    return out


def _policy(
    agent: Agent, jit: Callable, state: TrainState, batch: Any, out: dict[str, Any]
) -> None:
    """Actions at the first two steps of the batch, the state carried over."""
    policy = jit(functools.partial(agent.policy, mode="eval"))
    carry = agent.initial_carry(len(batch["is_first"]))
    key = np.zeros(2, np.uint32)
    for step in range(min(2, batch["is_first"].shape[1])):
        obs = {k: v[:, step] for k, v in batch.items() if k != "action"}
        if step == 0:  # A policy starts from the initial state also where is_first is not set.
            obs["is_first"] = np.ones_like(obs["is_first"])
        carry, action = policy(state.params, carry, obs, key)
        name = ("policy", "policy2")[step]
        out[f"{name}/action"], out[f"{name}/deter"] = action, carry["deter"]


def _idle(name: str, value: np.ndarray, out: Arrays) -> None:
    """Adds what a bundle may expect of a harmonizer that no loss uses: it stays as it is."""
    index = name.split("/")[-2][-1]
    out[f"grads/{name}"] = np.zeros_like(value)
    out[f"after/{name}"] = out[f"after2/{name}"] = value
    out[f"metrics/coeff{index}"], out[f"metrics/harmony_s{index}"] = np.exp(-value), value


def _check_size(agent: Agent, batch: Mapping[str, np.ndarray]) -> None:
    c = agent.config.agent
    numbers = (c.imag_horizon + 1) * batch["is_first"].size * c.rssm.features
    if c.imag_horizon < 1 or numbers > MAX_IMAGINED:
        raise UserError(
            f"imag_horizon {c.imag_horizon} from {batch['is_first'].size} starts: expected 1 or "
            f"more, and at most {MAX_IMAGINED} numbers in the trajectory"
        )
