"""The 2025 base against upstream: the same parameters and batches, the same numbers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from embodied.core.errors import UserError
from harmony_dreamerv3.agents.dreamerv3_2025 import Agent, TrainState
from harmony_dreamerv3.interop import names_2025 as names
from harmony_dreamerv3.interop import recorded_2025
from harmony_dreamerv3.interop.bundle import Arrays, Bundle
from harmony_dreamerv3.interop.report import Row, compare
from harmony_dreamerv3.nets import symexp_twohot as twohot
from harmony_dreamerv3.nets.block_rssm import features, join
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.nets.policies import OneHot
from harmony_dreamerv3.nets.vectors import classes

LOSSES = {"reward": "rew", "cont": "con"}  # our names of losses that are called otherwise
# After an update: the first step of LaProp is the gradient's sign, so that an element whose
# gradient is rounding noise may go either way, and below 3e-18 by up to 300 learning rates.
NOISE = 1e-5  # of the tensor's largest gradient
RARE = 0.01  # share of elements that may be noise
RMS_TOLERANCE = 0.01


def check(bundle: Bundle, jit: Callable) -> list[Row]:
    """Compares everything that a bundle expects; see `parity.check`.

    Args:
      bundle: of upstream's 2025 code.
      jit: compiles a function.

    Raises:
      UserError: when no agent can be built for it.
    """
    meta = bundle.meta
    agent = recorded_2025.build(meta)
    state = names.import_params(agent, bundle.params)
    updates, steps = meta.get("updates", 1), meta.get("policy_steps", [])
    if not isinstance(updates, int) or not 0 < updates < 10:
        raise UserError(f"meta.updates: expected 1 to 9, got {updates!r}")
    batch = recorded_2025.check_batch(agent, bundle.batch, "batch")
    second = recorded_2025.check_batch(agent, bundle.more.get("batch2", bundle.batch), "batch2")
    actual = compute(agent, jit, state, [batch, *[second] * (updates - 1)])
    length = batch["is_first"].shape[1]
    if not isinstance(steps, list) or any(s not in range(length) for s in steps[:2]):
        raise UserError(f"meta.policy_steps: expected two steps below {length}, got {steps!r}")
    policy(agent, jit, state, batch, steps[:2], actual)
    actual = {name: np.asarray(value) for name, value in actual.items()}
    return [compare_row(name, value, actual) for name, value in bundle.expect.items()]


def compare_row(name: str, expected: np.ndarray, actual: Arrays) -> Row:
    """Compares one tensor; after updates, rare elements may be rounding noise."""
    row = compare(name, expected, actual)
    if row.ok or not np.isfinite(row.max_rel):
        return row
    if name.endswith("_update_rms"):
        return dataclasses.replace(row, ok=row.max_rel <= RMS_TOLERANCE)
    head, _, rest = name.partition("/")
    grads = [f"grads{number}/{rest}" for number in ("", "2", "3") if f"after{number}" <= head]
    if not head.startswith("after") or grads[0] not in actual:
        return row
    sizes = [np.abs(actual[grad]) for grad in grads if grad in actual]
    noisy = np.any([size < NOISE * size.max(initial=0.0) for size in sizes], 0)
    if noisy.sum() > RARE * noisy.size:
        return row
    clean = compare(name, expected, {name: np.where(noisy, expected, actual[name])})
    return dataclasses.replace(clean, note=f"without {noisy.sum()} elements of noise")


def compute(
    agent: Agent, jit: Callable, state: TrainState, batches: Sequence[Arrays]
) -> dict[str, Any]:
    """Computes what a bundle may expect of updates, under its names.

    Args:
      agent: draws modes.
      jit: compiles a function.
      state: before the first update.
      batches: `[B, C + T, ...]` of each update.
    """
    grad, step = jit(functools.partial(forward, agent)), jit(agent.train_step)
    out: dict[str, Any] = {}
    new = state
    for i, batch in enumerate(batches):
        number = str(i + 1) if i else ""
        read = {key: batch[key] for key in agent.batch_keys}
        values, grads = grad(new, read)
        rms = values.pop("update_rms")
        new, outputs, metrics = step(new, read)
        after = names.export_params(new)
        if i == 0:
            out.update(values)
            norms = {k: v for k, v in after.items() if k.split("/")[0] in state.norms}
            out.update({f"norm_after/{k}": v for k, v in norms.items()})
        out.update({f"grads{number}/{k}": v for k, v in grads.items()})
        out.update({f"after{number}/{k}": v for k, v in after.items()})
        out[f"after{number}/{names.STEP}"] = names.step_of(new)
        out[f"after{number}_loss"] = metrics["loss/model"]
        out[f"after{number}_grad_norm"] = metrics["grad_norm/model"]
        out[f"after{number}_update_rms"] = rms
        if "stepid" in batch:  # Which steps the outputs replace.
            out[f"replay{number}/stepid"] = batch["stepid"][:, agent.context :]
        out.update({f"replay{number}/{k}": v for k, v in outputs.items()})
        for name in ("deter", "stoch"):
            out[f"carry_after{number}/{name}"] = values[f"post/{name}"][:, -1]
    return out


def forward(agent: Agent, state: TrainState, batch: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything before the update, and the gradients of the loss.

    The size of the update is among it: parameters hold steps of a warm-up only after rounding.
    """
    draws = agent.draws(jnp.zeros((3, 2), jnp.uint32), batch)
    grad = jax.value_and_grad(agent.loss, has_aux=True)
    (total, aux), grads = grad(state.params, state, batch, draws)
    steps, _ = agent.optimizer.update(grads, state.opt["opt"], state.params)
    named, steps = ({names.MODULES[k]: tree[k] for k in names.MODULES} for tree in (grads, steps))
    size = sum(x.size for x in jax.tree.leaves(steps))
    world, imag = aux["world"], aux["imag"]
    out: dict[str, Any] = {"loss": total, "tokens": world["tokens"]}
    out["update_rms"] = optax.tree.norm(steps) / size**0.5
    out.update({f"losses/{LOSSES.get(k, k)}": v for k, v in aux["losses"].items()})
    out.update({f"start/{k}": v for k, v in world["start"].items()})
    out.update({f"prevact/{k}": v for k, v in split(agent, world["prev_action"]).items()})
    out.update({f"post/{k}": v for k, v in {**world["post"], "logit": world["logit"]}.items()})
    prior = world["prior"]
    stoch = jax.nn.one_hot(prior.argmax(-1), prior.shape[-1])
    out.update({"prior/logit": prior, "prior/stoch": stoch})
    out.update(predictions(agent, state, world))
    out.update(imagined(agent, world, imag))
    out.update({f"repl/{k}": v for k, v in aux["repl"].items()})
    return out, names.flatten(named)


def predictions(agent: Agent, state: TrainState, world: dict[str, Any]) -> dict[str, Any]:
    """What heads and decoder say of the posteriors."""
    feat, cont = features(world["post"]), world["cont"]
    out = {"rew": twohot.mean(world["reward"]), "con_logit": cont, "con": jax.nn.sigmoid(cont)}
    out["val"] = twohot.mean(run(agent.critic, state.params["critic"], feat))
    dists = run(agent.actor, state.params["actor"], feat)
    for key, value in world["recon"].items():
        if key in agent.images:
            out |= {f"{key}_first": value[0, 0], f"{key}_last": value[-1, -1]}
            out[f"{key}_mean"] = value.mean((2, 3))
        else:
            out[key] = value.argmax(-1) if classes(agent.vectors[key]) else value
    out.update(distributions(dists))
    return {f"pred/{name}": value for name, value in out.items()}


def imagined(agent: Agent, world: dict[str, Any], imag: dict[str, Any]) -> dict[str, Any]:
    """The imagined trajectories, `[start, time, ...]`."""
    rows = len(imag["states"]["deter"][0])

    def root(name: str, x: Any) -> Any:
        count = rows // len(x)
        return x[:, -count:].reshape(rows, *x.shape[2:])

    steps = {"deter": imag["states"]["deter"], "stoch": imag["states"]["stoch"]}
    steps["logit"] = imag["logit"]
    starts = {**world["post"], "logit": world["logit"]}
    out = {k: jnp.concatenate([root(k, starts[k])[None], steps[k]]) for k in steps}
    scalars = ("rew", "con", "weight", "val", "slowval", "ret", "adv", "adv_normed",
               "loss_policy", "loss_value")  # fmt: skip
    out.update({name: imag[name] for name in scalars})
    actions = {k: x.argmax(-1) if agent.act_space[k].discrete else x
               for k, x in imag["action"].items()}  # fmt: skip
    out.update({f"action/{k}": v for k, v in actions.items()})
    out.update(distributions(imag["dists"]))
    for name in ("logp", "entropy"):
        out.update({f"policy/{k}/{name}": v for k, v in imag[name].items()})
    out = {f"imag/{name}": value.swapaxes(0, 1) for name, value in out.items()}
    return {**out, "imag/retnorm_scale": jnp.asarray(imag["retnorm_scale"])}


def distributions(dists: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a policy's distributions by name."""
    out = {}
    for key, value in dists.items():
        if isinstance(value, OneHot):
            out[f"policy/{key}/logits"] = value.raw
        else:
            out |= {f"policy/{key}/mean": value.mean, f"policy/{key}/stddev": value.std}
    return out


def policy(
    agent: Agent,
    jit: Callable,
    state: TrainState,
    batch: Arrays,
    steps: Sequence[int],
    out: dict[str, Any],
) -> None:
    """Adds actions at two steps of the batch, from the zero carry."""
    act, params = jit(agent.policy, static_argnames="mode"), agent.policy_params(state)
    rows, key = len(batch["is_first"]), np.zeros(2, np.uint32)
    # Upstream's first previous action is the integer 0, which counts where is_first is not set.
    zeros = {k: np.zeros((rows, *s.shape), np.float32) for k, s in agent.act_space.items()}
    for name, space in agent.act_space.items():
        zeros[name][:, 0] = space.discrete
    carry = {**agent.initial_carry(rows), "action": join(zeros)}
    for name, step in zip(("policy", "policy2"), steps):
        obs = {k: batch[k][:, step] for k in agent.obs_keys}
        carry, actions = act(params, carry, obs, key, mode="train")
        out.update({f"{name}/action/{k}": v for k, v in split(agent, actions).items()})
        for part in ("deter", "stoch"):
            out[f"{name}/dyn/{part}"] = out[f"{name}/carry/{part}"] = carry[part]


def split(agent: Agent, joined: Any) -> dict[str, Any]:
    """Actions by key of joined ones `[..., A]`; discrete ones as integers."""
    out, at = {}, 0
    for key in sorted(agent.act_space):
        size = agent.act_space[key].shape[0]
        part, at = joined[..., at : at + size], at + size
        out[key] = part.argmax(-1) if agent.act_space[key].discrete else part
    return out
