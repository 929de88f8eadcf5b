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

from embodied.core.errors import UserError, nearest
from embodied.core.space import Space
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.agents.dreamerv3_2025 import Agent, TrainState
from harmony_dreamerv3.interop import names_2025 as names
from harmony_dreamerv3.interop import upstream_2025
from harmony_dreamerv3.interop.bundle import FLAGS, Arrays, Bundle, shape_of
from harmony_dreamerv3.interop.report import Row, compare
from harmony_dreamerv3.nets import symexp_twohot as twohot
from harmony_dreamerv3.nets.block_rssm import features, join
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.nets.policies import OneHot
from harmony_dreamerv3.nets.pool_coders import classes

LOSSES = {"reward": "rew", "cont": "con"}  # our names of losses that are called otherwise
MAX_IMAGINED = 1 << 30  # numbers in an imagined trajectory
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
    agent = build_agent(meta)
    state = names.import_params(agent, bundle.params)
    updates, steps = meta.get("updates", 1), meta.get("policy_steps", [])
    if not isinstance(updates, int) or not 0 < updates < 10:
        raise UserError(f"meta.updates: expected 1 to 9, got {updates!r}")
    batch = check_batch(agent, bundle.batch, "batch")
    second = check_batch(agent, bundle.more.get("batch2", bundle.batch), "batch2")
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


def build_agent(meta: Mapping[str, Any]) -> Agent:
    """Builds the agent that a bundle's `meta` describes.

    Draws are modes, and Gaussian ones mean + `gaussian_offset` deviations.

    Raises:
      UserError: for a configuration that does not exist or is not implemented.
    """
    sampling, offset = meta.get("sampling", "mode"), meta.get("gaussian_offset", 0.0)
    if sampling != "mode" or not isinstance(offset, int | float):
        raise UserError(
            f"meta.sampling is {sampling!r}, meta.gaussian_offset {offset!r}; only bundles whose "
            "draws are modes ('mode'), and at a number of deviations, can be compared"
        )
    flags = upstream_2025.translate(meta["configs"], meta["overrides"])
    fixed = {"base": "dreamerv3_2025", "jax.precision": "float32", "balance.method": "fixed"}
    config = configs.make((), {**flags, **fixed})
    # Losses are added one by one; groups change nothing but rounding.
    config = dataclasses.replace(config, balance=dataclasses.replace(config.balance, tasks={}))
    obs = {key: observation(key, space) for key, space in meta["obs_space"].items()}
    for key in ("reward", *FLAGS):
        if key not in obs or obs[key].shape:
            raise UserError(f"meta.obs_space must have the scalar {key!r}")
    actions = {str(key): action(key, space) for key, space in meta["act_space"].items()}
    if not actions:
        raise UserError("meta.act_space is empty")
    return Agent(config, obs, actions, sampling=False, gaussian_offset=float(offset))


def observation(key: str, space: Mapping[str, Any]) -> Space:
    """Our space of an observation; integers have an upper bound by their number of classes."""
    shape = shape_of(space, f"obs_space.{key}")
    return Space(space["dtype"], shape, high=_classes(space, f"obs_space.{key}", -1))


def action(key: str, space: Any) -> Space:
    """Our space of an action: one-hot for a scalar of classes, else a vector."""
    name = f"act_space.{key}"
    shape, count = shape_of(space, name), _classes(space, name, 0)
    if len(shape) != (0 if count else 1):
        raise UserError(f"meta.{name}: expected a vector or a scalar of classes, got {space}")
    return Space(np.float32, (count,) if count else shape, discrete=bool(count))


def _classes(space: Mapping[str, Any], name: str, add: int) -> int | None:
    """The number of values of a discrete space, plus `add`; None for others."""
    count = space.get("classes")
    if count is not None and not (type(count) is int and 0 < count < 2**16):
        raise UserError(f"meta.{name}.classes: expected a number below 65536, got {count!r}")
    return None if count is None else count + add


def check_batch(agent: Agent, batch: Mapping[str, np.ndarray], name: str) -> Arrays:
    """Returns what updates and policy read of a batch, `[B, C + T, ...]`, actions one-hot.

    Raises:
      UserError: for a key that is missing or has another shape or kind of numbers.
    """
    spaces: dict[str, Space] = {**agent.obs_space, **agent.stored_space}
    spaces |= {k: Space(np.int64) if s.discrete else s for k, s in agent.act_space.items()}
    if agent.config.run.consec_train > 1:
        spaces["consec"] = Space(np.int32)
    out: Arrays = {}
    rows = (agent.config.batch_size, agent.context + agent.config.batch_length)
    for key, space in spaces.items():
        if key not in batch:
            raise UserError(f"the bundle's {name} lacks {key!r}{nearest(key, batch)}")
        value, shape = batch[key], (*rows, *space.shape)
        if value.shape != shape or not np.can_cast(value.dtype, space.dtype, "same_kind"):
            raise UserError(
                f"{name}/{key}: expected {space.dtype} {list(shape)}, got {value.dtype} "
                f"{list(value.shape)}"
            )
        out[key] = value.astype(space.dtype)
    for key, space in agent.act_space.items():
        if space.discrete:
            count = space.shape[0]
            if out[key].min() < 0 or out[key].max() >= count:
                raise UserError(f"{name}/{key}: expected numbers below {count}")
            out[key] = np.eye(count, dtype=np.float32)[out[key]]
    if "consec" in spaces and agent.context:
        # Ours reads from the first step of the context whether a window begins there.
        out["is_first"][:, 0] = out["consec"][:, 0] == 0
    c, numbers = agent.config.agent, rows[0] * rows[1]
    if (c.imag_horizon + 1) * numbers * c.rssm.features > MAX_IMAGINED:
        raise UserError(f"imag_horizon {c.imag_horizon}: more than {MAX_IMAGINED} numbers")
    return {**out, "stepid": batch["stepid"]} if "stepid" in batch else out


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
    value, _ = agent.values(state.params, state.slow_critic, feat)
    out = {"rew": twohot.mean(world["reward"]), "con_logit": cont, "con": jax.nn.sigmoid(cont)}
    out["val"] = twohot.mean(value)
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
