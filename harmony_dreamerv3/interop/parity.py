"""Comparison with the released code: the same parameters and batch, the same numbers.

A bundle is an `.npz` file with `meta` (JSON), `params/...`, `batch/...` and `expect/...`
(docs/parity.md). Everything is computed in float32 with full-precision products.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from embodied.core.errors import UserError
from embodied.core.space import Space
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.agent import Agent, TrainState
from harmony_dreamerv3.interop import bundle as bundles
from harmony_dreamerv3.interop.names import (
    HARMONIZERS,
    SCALE,
    export_params,
    flatten,
    import_params,
    upstream_name,
)
from harmony_dreamerv3.nets.decoder import vector_mean
from harmony_dreamerv3.nets.rssm import State

TOLERANCE = 1e-4
GRAD_TOLERANCE = 1e-3
# Ours beside the bundle's blocks and overrides: every deviation flag on upstream's side.
UPSTREAM = {
    "balance.dyn_regularizer": "released",
    "balance.vectors": "False",
    "jax.precision": "float32",
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One compared tensor.

    Args:
      name: name in the bundle, without `expect/`.
      max_abs: largest absolute difference.
      max_rel: the same relative to the largest expected magnitude.
      ok: whether it is within tolerance.
      note: why not, where the numbers do not say it.
    """

    name: str
    max_abs: float
    max_rel: float
    ok: bool
    note: str = ""


def check(path: Path) -> list[Row]:
    """Compares everything that a bundle expects.

    Args:
      path: the `.npz` file.

    Returns:
      One row for each expected tensor, in the bundle's order.

    Raises:
      UserError: for a file that is no bundle, or one that the agent cannot be built for.
    """
    bundle = bundles.read(path)
    agent = build_agent(bundle.meta)
    state = import_params(agent, bundle.params)
    bundles.check_batch(bundle, agent)
    with jax.default_matmul_precision("highest"):
        actual = compute(agent, state, bundle.batch)
    return [compare(name, value, actual) for name, value in bundle.expect.items()]


def build_agent(meta: Mapping[str, Any]) -> Agent:
    """Builds the agent that a bundle's `meta` describes, drawing modes."""
    overrides = {**meta["overrides"], **UPSTREAM}
    names = [name for name in meta["configs"] if name != "defaults"]
    config = configs.make(names, overrides)
    if config.balance.method == "fixed":
        # The released baseline adds losses one by one; groups change nothing but rounding.
        config = dataclasses.replace(
            config, balance=dataclasses.replace(config.balance, tasks={})
        )
    obs = {k: Space(v["dtype"], tuple(v["shape"])) for k, v in meta["obs_space"].items()}
    act = meta["act_space"]["action"]
    action = Space(np.float32, tuple(act["shape"]), discrete=bool(act["discrete"]))
    return Agent(config, obs, {"action": action}, sampling=meta.get("sampling") != "mode")


def compute(
    agent: Agent, state: TrainState, batch: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Computes everything a bundle may expect, under its names."""
    arrays = {key: jnp.asarray(value) for key, value in batch.items()}
    key = jax.random.key_data(jax.random.key(0))
    out: dict[str, Any] = {}
    post = _world_model(agent, state, arrays, out)
    _behavior(agent, state, post, arrays, key, out)
    step = jax.jit(agent.train_step)
    after, _, _ = step(state, arrays)
    out.update({f"after/{k}": v for k, v in export_params(after).items()})
    after2, _, _ = step(after, arrays)
    out.update({f"after2/{k}": v for k, v in export_params(after2).items()})
    out["retnorm_after/low"] = out.pop("scale/low")
    out["retnorm_after/high"] = out.pop("scale/high")
    _policy(agent, state, arrays, key, out)
    return {name: np.asarray(value) for name, value in out.items()}


def compare(name: str, expected: np.ndarray, actual: Mapping[str, np.ndarray]) -> Row:
    """Compares one expected tensor with what was computed."""
    if name not in actual:
        return Row(name, np.inf, np.inf, False, "nothing of this name is computed")
    value = actual[name]
    if value.shape != expected.shape:
        return Row(name, np.inf, np.inf, False, f"shape {value.shape}, expected {expected.shape}")
    difference = np.abs(value.astype(np.float64) - expected.astype(np.float64))
    worst = float(difference.max(initial=0.0))
    size = float(np.abs(expected.astype(np.float64)).max(initial=0.0))
    if not np.isfinite(expected.astype(np.float64)).all():
        return Row(name, worst, np.inf, False, "the bundle itself is not finite here")
    tolerance = GRAD_TOLERANCE if name.startswith("grads/") else TOLERANCE
    ok = bool(worst <= tolerance * size)
    return Row(name, worst, worst / size if size else (0.0 if worst == 0 else np.inf), ok)


def _world_model(agent: Agent, state: TrainState, batch: Any, out: dict[str, Any]) -> State:
    """World-model losses, predictions, gradients; returns the posteriors."""
    c = agent.config.rssm
    params = {name: state.params[name] for name in ("world_model", "balance")}
    noise = jnp.zeros((*batch["is_first"].shape, c.stoch, c.classes))
    grad = jax.jit(jax.value_and_grad(agent.model_loss, has_aux=True))
    (total, aux), grads = grad(params, state, batch, noise)
    out["model_loss"] = total
    out.update({f"losses/{k}": v for k, v in aux["losses"].items()})
    out["embed"] = aux["embed"]
    out.update({f"post/{k}": v for k, v in aux["post"].items()})
    mode = jax.nn.one_hot(jnp.argmax(aux["prior"], -1), c.classes)
    out.update({"prior/deter": aux["post"]["deter"], "prior/logit": aux["prior"]})
    out["prior/stoch"] = mode
    for name, value in aux["recon"].items():
        out[f"pred/{name}"] = vector_mean(value) if name in agent.wm.vectors else value
    out.update({"pred/reward": aux["reward"], "pred/cont": aux["cont"]})
    out.update({f"grads/{upstream_name(k)}": v for k, v in flatten(grads).items()})
    leaves = jax.tree.leaves(grads)
    out["model_grad_norm"] = jnp.sqrt(sum(jnp.square(leaf).sum() for leaf in leaves))
    for task, log_sigma in params["balance"].get("log_sigma", {}).items():
        index = HARMONIZERS[task][-1]
        out[f"metrics/coeff{index}"] = jnp.exp(-log_sigma)
        out[f"metrics/harmony_s{index}"] = log_sigma
    return aux["post"]


def _behavior(
    agent: Agent, state: TrainState, post: State, batch: Any, key: Any, out: dict[str, Any]
) -> None:
    """Imagination, actor and critic with the world model before its update."""
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), post)
    is_terminal = batch["is_terminal"].reshape(-1)
    grad = jax.jit(jax.value_and_grad(agent.actor_loss, has_aux=True))
    (loss, aux), grads = grad(state.params["actor"], state, flat, is_terminal, key)
    traj = aux["traj"]
    out["actor_loss"] = loss
    actor = {"actor": grads}
    out.update({f"grads/{upstream_name(k)}": v for k, v in flatten(actor).items()})
    out.update({f"imag/{k}": v for k, v in aux["states"].items()})
    for name in ("action", "cont", "weight", "reward"):
        out[f"imag/{name}"] = getattr(traj, name)
    out["imag/return"], out["imag/value"] = aux["returns"], aux["value"][:-1]
    out["scale/low"], out["scale/high"] = aux["scale"]
    critic = jax.jit(jax.value_and_grad(agent.behavior.critic_loss))
    loss, grads = critic(
        state.params["critic"], state.slow_critic, traj.feat[:-1], aux["returns"],
        traj.weight[:-1],
    )  # fmt: skip
    out["critic_loss"] = loss
    out.update({f"grads/{upstream_name(k)}": v for k, v in flatten({"critic": grads}).items()})


def _policy(agent: Agent, state: TrainState, batch: Any, key: Any, out: dict[str, Any]) -> None:
    """Actions at the first two steps of the batch, the state carried over."""
    policy = jax.jit(functools.partial(agent.policy, state.params))
    carry = agent.initial_carry(len(batch["is_first"]))
    for step, name in ((0, "policy"), (1, "policy2")):
        if step >= batch["is_first"].shape[1]:
            break
        obs = {k: v[:, step] for k, v in batch.items() if k != "action"}
        carry, action = policy(carry, obs, key)
        out[f"{name}/action"], out[f"{name}/deter"] = action, carry["deter"]


def as_dict(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows as plain dictionaries; infinities become None, as JSON has none."""

    def plain(value: Any) -> Any:
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return [{k: plain(v) for k, v in dataclasses.asdict(row).items()} for row in rows]


def table(rows: list[Row]) -> str:
    """Rows as aligned text."""
    width = max((len(row.name) for row in rows), default=4)
    lines = [f"{'name':<{width}}  {'max abs':>9}  {'max rel':>9}  verdict"]
    for row in rows:
        verdict = "ok" if row.ok else f"FAIL {row.note}".rstrip()
        lines.append(f"{row.name:<{width}}  {row.max_abs:9.2e}  {row.max_rel:9.2e}  {verdict}")
    return "\n".join(lines)


def main(paths: list[Path], as_json: bool) -> int:
    """Checks bundles and prints the result.

    Returns:
      0 when everything is within tolerance, else 1.
    """
    failed, report = False, {}
    for path in paths:
        rows = check(path)
        worst = sorted((r for r in rows if not r.ok), key=lambda r: -r.max_rel)
        failed |= bool(worst) or not rows
        report[str(path)] = as_dict(rows)
        if as_json:
            continue
        print(f"{path}\n{table(rows)}")
        names = ", ".join(row.name for row in worst[:5])
        verdict = f"{len(worst)} outside tolerance; worst: {names}" if worst else "all ok"
        print(f"{len(rows)} tensors compared, {verdict}\n")
    if as_json:
        print(json.dumps(report, indent=1))
    return int(failed)


__all__ = ["SCALE", "UserError", "check", "main"]
