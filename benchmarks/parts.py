"""Seconds of the parts of an update, forward and backward: convolutions and loops apart.

    python -m benchmarks.parts --batch 4 --length 16 [--json]

Each part is timed in the plain version (benchmarks/plain_update.py) and in the agent's, in turn.
Gradients are taken by the parameters and by the inputs that have one in training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common, plain_layers
from benchmarks.plain_update import PlainUpdate
from harmony_dreamerv3.agents.dreamerv3 import Agent

Part = tuple[Callable[..., Any], tuple[Any, ...]]


def parts(agent: Agent, batch: Any) -> dict[str, dict[str, Part]]:
    """For each part both versions: a function whose output is summed, and its arguments."""
    plain, wm, c = PlainUpdate(agent), agent.wm, agent.config.agent
    params = common.make_state(agent, 1).params
    model, rows, rng = params["world_model"], batch["is_first"].shape, np.random.default_rng(0)

    def random(*shape: int) -> Any:
        return jnp.asarray(rng.normal(size=shape), agent.param_dtype)

    latent = (c.rssm.stoch, c.rssm.classes)
    feat, embed = random(*rows, wm.feature_size), random(*rows, wm.embed_size)
    noise, imagined = random(*rows, *latent), random(c.imag_horizon, rows[0] * rows[1], *latent)
    start = {
        "deter": random(rows[0] * rows[1], c.rssm.deter),
        "stoch": random(rows[0] * rows[1], *latent),
        "logit": random(rows[0] * rows[1], *latent),
    }
    action_noise = random(c.imag_horizon + 1, len(start["deter"]), agent.actions)

    def observe(p: Any, embed: Any) -> Any:
        first = batch["is_first"]
        post, prior = wm.rssm.apply(
            {"params": p}, embed, batch["action"], first, noise, method="observe"
        )
        return post, prior

    def plain_observe(p: Any, embed: Any) -> Any:
        xs = {"action": batch["action"], "is_first": batch["is_first"].at[:, 0].set(True)}
        xs = jax.tree.map(lambda x: x.swapaxes(0, 1), {**xs, "embed": embed, "noise": noise})

        def step(carry: Any, x: Any) -> Any:
            prior, post = plain.obs_step(p, carry, x)
            return {k: post[k] for k in carry}, (prior["logit"], post)

        return jax.lax.scan(step, plain.initial(p, rows[0]), xs)[1]

    def imagine(p: Any, actor: Any) -> Any:
        def act(layers: Any, state: Any, eps: Any) -> Any:
            return agent.behavior.sample(layers, plain_layers.features(state), eps)

        weights = agent.behavior.policy_weights(actor)
        return wm.imagine({"rssm": p}, start, act, weights, action_noise, imagined)[0]

    def plain_imagine(p: Any, actor: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            action, _ = plain.act(actor, plain_layers.features(carry), x[0])
            after = plain.prior_step(p, carry, action, x[1])
            return after, after

        return jax.lax.scan(step, start, (action_noise[:-1], imagined))[1]

    return {
        "encoder": {
            "plain": (lambda p: plain_layers.encode(wm, p, batch), (model["encoder"],)),
            "fast": (lambda p: wm.encoder.apply({"params": p}, batch), (model["encoder"],)),
        },
        "decoder": {
            "plain": (lambda p, x: plain_layers.decode(wm, p, x), (model["decoder"], feat)),
            "fast": (lambda p, x: wm.decoder.apply({"params": p}, x), (model["decoder"], feat)),
        },
        "observe loop": {
            "plain": (plain_observe, (model["rssm"], embed)),
            "fast": (observe, (model["rssm"], embed)),
        },
        "imagine loop, forward": {
            "plain": (plain_imagine, (model["rssm"], params["actor"])),
            "fast": (imagine, (model["rssm"], params["actor"])),
        },
    }


def timed(name: str, part: Part) -> Callable[[], Any]:
    """A compiled call: the gradient of a sum of cosines, or the forward pass alone."""
    function, args = part
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
    for name, versions in parts(agent, batch).items():
        calls = {version: timed(name, part) for version, part in versions.items()}
        seconds = common.interleaved(calls, args.repeats)
        medians = {version: float(np.median(values)) for version, values in seconds.items()}
        result[name] = {**medians, "plain/fast": medians["plain"] / medians["fast"]}
    common.show(result, args.json)


if __name__ == "__main__":
    main()
