"""Operations of an update, counted by hand from the sizes: the floor that a clock cannot beat.

    python -m benchmarks.flops [--configs atari100k] [--batch 16] [--length 64]

A product of [m, k] and [k, n] counts 2 m k n; a backward pass twice its forward pass, once when
only one side needs a gradient. Everything that is no product is left out.
"""

from __future__ import annotations

from typing import Any

from benchmarks import common
from harmony_dreamerv3.agents.dreamerv3 import Agent


def update(agent: Any) -> dict[str, float]:
    """GFLOP of each part of one update of one learner with discrete actions."""
    if agent.config.base != "dreamerv3":
        from benchmarks import flops_others

        counts = getattr(flops_others, agent.config.base)(agent)
        return {name: 2 * count / 1e9 for name, count in counts.items()}
    c, wm = agent.config.agent, agent.wm
    rows = agent.config.batch_size * agent.config.batch_length
    starts = rows * c.imag_horizon
    latent = c.rssm.stoch * c.rssm.classes
    head = {
        name: mlp(c.rssm.features, config.units, config.layers, outputs)
        for name, config, outputs in (
            ("reward", c.reward_head, c.reward_head.bins), ("cont", c.cont_head, 1),
            ("actor", c.actor, agent.actions), ("critic", c.critic, c.critic.bins),
        )
    }  # fmt: skip
    prior = (latent + agent.actions) * c.rssm.units + c.rssm.deter * c.rssm.units
    prior += (c.rssm.deter + c.rssm.units) * 3 * c.rssm.deter + c.rssm.units * latent
    posterior = (c.rssm.deter + wm.rssm.embed) * c.rssm.units + c.rssm.units * latent
    encoder, decoder = _convolutions(agent)
    first = encoder[0] if encoder else 0.0
    parts = {
        # The first convolution's input needs no gradient.
        "encoder": rows * (3 * sum(encoder) - first),
        "decoder": rows * 3 * sum(decoder),
        "observe": rows * 3 * (prior + posterior),
        "heads": rows * 3 * (head["reward"] + head["cont"]),
        "imagine": starts * prior,
        "imagine actor": (starts + rows) * head["actor"],
        # Its forward pass is that of imagination.
        "actor loss": starts * (2 * head["actor"] - c.rssm.features * c.actor.units),
        "reward, cont, value": starts * (head["reward"] + head["cont"])
        + (starts + rows) * head["critic"],
        # Its forward on imagined states is that of the value.
        "critic": starts * (3 * head["critic"] - c.rssm.features * c.critic.units),
    }
    return {name: 2 * count / 1e9 for name, count in parts.items()}


def policy(agent: Agent) -> float:
    """GFLOP of one action of one environment."""
    c, wm = agent.config.agent, agent.wm
    latent = c.rssm.stoch * c.rssm.classes
    step = float((latent + agent.actions) * c.rssm.units)
    step += (c.rssm.deter + c.rssm.units) * 3 * c.rssm.deter
    step += (c.rssm.deter + wm.rssm.embed) * c.rssm.units + c.rssm.units * latent
    step += mlp(c.rssm.features, c.actor.units, c.actor.layers, agent.actions)
    return 2 * (step + sum(_convolutions(agent)[0])) / 1e9


def mlp(inputs: int, units: int, layers: int, outputs: int) -> float:
    """Multiplications of a stack of layers, at least one, and its output."""
    return inputs * units + (layers - 1) * units * units + units * outputs


def _convolutions(agent: Agent) -> tuple[list[float], list[float]]:
    """Multiplications of each stage for one image: encoder, decoder with its first layer."""
    encoder: list[float] = []
    c, wm, spaces = agent.config.agent, agent.wm, agent.obs_space
    if wm.encoder.cnn_keys:
        channels = sum(spaces[key].shape[-1] for key in wm.encoder.cnn_keys)
        side, depth = spaces[wm.encoder.cnn_keys[0]].shape[0], c.encoder.cnn_depth
        while side > c.encoder.minres:
            side //= 2
            encoder.append(side * side * 16.0 * channels * depth)
            channels, depth = depth, 2 * depth
    decoder: list[float] = []
    if wm.images:
        shapes = list(wm.images.values())
        side, depth = shapes[0][0], c.decoder.cnn_depth
        stages, channels = [], sum(shape[-1] for shape in shapes)
        while side > c.decoder.minres:
            side //= 2
            stages.append(side * side * 16.0 * channels * depth)
            channels, depth = depth, 2 * depth
        decoder = [c.rssm.features * side * side * channels, *stages[::-1]]
    return encoder, decoder


if __name__ == "__main__":
    options = common.parser(__doc__).parse_args()
    counts = update(common.make_agent(options))
    common.show({"gflop": {**counts, "all": sum(counts.values())}}, options.json)
