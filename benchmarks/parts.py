"""Seconds of the parts of an update, forward and backward: convolutions and loops apart.

    python -m benchmarks.parts --batch 4 --length 16 [--json]

Each part is timed plainly (`nets.fast.plain`) and as the agent computes it, in turn. Gradients are
taken by the parameters and by the inputs that have one in training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common
from harmony_dreamerv3.agents.dreamerv3 import Agent
from harmony_dreamerv3.nets import rssm
from harmony_dreamerv3.nets.fast import plain
from harmony_dreamerv3.nets.layers import run

Part = tuple[Callable[..., Any], tuple[Any, ...]]


def parts(agent: Agent, batch: Any) -> dict[str, Part]:
    """For each part a function whose output is summed, and its arguments."""
    wm, c = agent.wm, agent.config.agent
    params = common.make_state(agent, 1).params
    model, lead, rng = params["world_model"], batch["is_first"].shape, np.random.default_rng(0)
    rows, latent = lead[0] * lead[1], (c.rssm.stoch, c.rssm.classes)

    def random(*shape: int) -> Any:
        return jnp.asarray(rng.normal(size=shape), agent.param_dtype)

    feat, embed, noise = random(*lead, c.rssm.features), random(*lead, wm.rssm.embed), random(
        *lead, *latent
    )  # fmt: skip
    start = {"deter": random(rows, c.rssm.deter)}
    start |= {key: random(rows, *latent) for key in ("stoch", "logit")}
    draws = random(c.imag_horizon + 1, rows, agent.actions), random(c.imag_horizon, rows, *latent)

    def observe(p: Any, embed: Any) -> Any:
        return rssm.observe(wm.rssm, p, embed, batch["action"], batch["is_first"], noise)

    def imagine(p: Any, actor: Any) -> Any:
        def act(state: Any, eps: Any) -> Any:
            return agent.behavior.sample(actor, rssm.features(state), eps)

        return rssm.imagine(wm.rssm, p, start, act, *draws)

    return {
        "encoder": (lambda p: run(wm.encoder, p, batch), (model["encoder"],)),
        "decoder": (lambda p, x: run(wm.decoder, p, x), (model["decoder"], feat)),
        "observe loop": (observe, (model["rssm"], embed)),
        "imagine loop, forward": (imagine, (model["rssm"], params["actor"])),
    }


def timed(name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[], Any]:
    """A compiled call: the gradient of a sum of cosines, or the forward pass alone."""
    if name.endswith("forward"):
        compiled = jax.jit(function)
    else:

        def total(*args: Any) -> Any:
            return sum(jnp.cos(leaf).sum() for leaf in jax.tree.leaves(function(*args)))

        compiled = jax.jit(jax.grad(total, argnums=tuple(range(len(args)))))
    return lambda: compiled(*args)


def main() -> None:
    """Times all parts."""
    args = common.parser(__doc__).parse_args()
    jax.config.update("jax_default_matmul_precision", "highest")
    agent = common.make_agent(args)
    batch = common.make_batch(agent, (agent.config.batch_size, agent.config.batch_length))
    batch = jax.device_put(batch)
    result = {}
    for name, (function, inputs) in parts(agent, batch).items():
        versions = {"plain": plain(function), "fast": function}
        calls = {version: timed(name, f, inputs) for version, f in versions.items()}
        seconds = common.interleaved(calls, args.repeats)
        medians = {version: float(np.median(values)) for version, values in seconds.items()}
        result[name] = {**medians, "plain/fast": medians["plain"] / medians["fast"]}
    common.show(result, args.json)


if __name__ == "__main__":
    main()
