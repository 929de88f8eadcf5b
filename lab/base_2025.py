"""World models of the 2025 base by themselves: updates without a policy, open-loop predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from harmony_dreamerv3 import loss_tasks, prng
from harmony_dreamerv3.agents import base, report_2025
from harmony_dreamerv3.nets import symexp_twohot as twohot
from harmony_dreamerv3.nets.block_rssm import features
from harmony_dreamerv3.nets.layers import full, run

Array = jax.Array
BEHAVIOR = ("policy", "value", "repval")  # losses of actor and critic


def model_step(
    agent: Any, state: Any, batch: Mapping[str, Array]
) -> tuple[Any, dict[str, Array], dict[str, Array]]:
    """An update of `Agent.train_step` without the losses of actor and critic.

    The one optimizer is the agent's; what has no loss here stands still (but for weight decay).

    Args:
      agent: the agent.
      state: before the update.
      batch: windows `[B, C + T, ...]`.

    Returns:
      The state after, the latents that replace the stored ones, scalar metrics.
    """
    draws = agent.draws(prng.for_update(state.key, state.updates, 3), batch)
    none = dict.fromkeys(BEHAVIOR, jnp.zeros((), agent.param_dtype))

    def losses(params: Any) -> tuple[dict[str, Array], dict[str, Any]]:
        values, world = agent.world_model(params, state.carry, batch, draws.post)
        return values | none, world

    def loss(params: Any) -> tuple[Array, dict[str, Any]]:
        weights = params["balance"]
        return loss_tasks.balanced(agent.balancer, weights, state.balance, losses, params)

    (total, aux), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
    means = {k: x.mean() for k, x in aux["losses"].items() if k not in BEHAVIOR}
    params, new, norm = base.step(
        state, "opt", agent.optimizer, state.params, grads, total, *means.values()
    )
    balance = base.unless_dead(new.alive, aux["balance"], state.balance)
    new = new.replace(
        params=params, balance=balance, updates=state.updates + new.alive.astype(jnp.int32)
    )
    weights = {k: x for k, x in aux["metrics"].items() if k.split("/")[-1] not in BEHAVIOR}
    metrics = {
        "loss/model": total, **{f"loss/{k}": x for k, x in means.items()},
        **{f"balance/{k}": x for k, x in weights.items()}, "grad_norm/model": norm,
        "grad_share/reward": optax.tree.norm(grads["reward"]) / jnp.maximum(norm, 1e-20),
    }  # fmt: skip
    return new, agent.stored(aux["post"]), metrics


def predictions(
    agent: Any, state: Any, batch: Mapping[str, Array], key: Array, observed: int, *, decode: bool
) -> dict[str, Array]:
    """What the model predicts after the first `observed` steps of windows `[B, T, ...]`.

    A window begins from zeros, as an episode does; of held-out steps no latents are stored.

    Returns:
      `reward`, `feat` `[B, T, ...]`; with `decode` also `image/<key>` `[B, T, H, W, C]` in [0, 1].
    """
    params, action = state.params, agent.joined_actions(batch)
    rows = len(action)
    start = {k: x for k, x in agent.initial_carry(rows).items() if k != "action"}
    before = jnp.concatenate([jnp.zeros_like(action[:, :1]), action[:, :-1]], 1)
    states = report_2025.open_loop(agent, params, batch, start, before, key, observed)
    feat = features(states)
    out = {"reward": twohot.mean(run(agent.reward, params["reward"], feat)), "feat": full(feat)}
    if decode and agent.images:
        recon = run(agent.decoder, params["decoder"], states["deter"], states["stoch"])
        out |= {f"image/{k}": recon[k] for k in agent.images}
    return out
