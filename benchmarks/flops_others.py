"""Multiplications of an update of the 2025 base and of DreamerV2; see `flops`."""

from __future__ import annotations

from typing import Any

from benchmarks.flops import mlp
from harmony_dreamerv3.nets.coders_v2 import encoded_side
from harmony_dreamerv3.nets.pool_coders import STAGES, shrinkage


def dreamerv3_2025(agent: Any) -> dict[str, float]:
    """By part of an update; images as they pool, vectors left out."""
    c, rows = agent.config.agent, agent.config.batch_size * agent.config.batch_length
    r, starts = c.rssm, rows * c.imag_horizon
    stoch, hidden = r.stoch * r.classes, r.hidden
    # A block-diagonal kernel has a share 1 / blocks of a dense one; summaries reach all blocks.
    step = (r.deter + stoch + agent.actions) * hidden + 3 * hidden * r.deter
    step += (r.dyn_layers + 3) * r.deter**2 / r.blocks
    prior = mlp(r.deter, hidden, r.img_layers, stoch)
    posterior = mlp(r.deter + agent.rssm.tokens, hidden, r.obs_layers, stoch)
    encoder, decoder = _pooled(agent)
    feat, first = r.features, encoder[0] if encoder else 0.0
    reward, cont = (mlp(feat, h.units, h.layers, n) for h, n in
                    ((c.reward_head, c.reward_head.bins), (c.cont_head, 1)))  # fmt: skip
    actor = mlp(feat, c.actor.units, c.actor.layers, agent.actions)
    critic = mlp(feat, c.critic.units, c.critic.layers, c.critic.bins)
    return {
        "encoder": rows * (3 * sum(encoder) - first),
        "decoder": rows * 3 * sum(decoder),
        "observe": rows * 3 * (step + prior + posterior),
        "heads": rows * 3 * (reward + cont),
        "imagine": starts * (step + prior),
        "imagine actor": (starts + rows) * actor,
        # No gradient reaches imagined features.
        "actor loss": (starts + rows) * (3 * actor - feat * c.actor.units),
        "reward, cont, slow value": (starts + rows) * (reward + cont + critic),
        "critic": (starts + rows) * (3 * critic - feat * c.critic.units),
        "critic on replay": rows * 4 * critic,
    }


def dreamerv2(agent: Any) -> dict[str, float]:
    """By part of an update with plain convolutions and discrete actions; vectors left out."""
    c, net = agent.c, agent.net
    rows = agent.config.batch_size * agent.config.batch_length * (2 if net.prototypes else 1)
    r, starts = c.rssm, rows * c.imag_horizon
    stoch = r.stoch * (r.classes or 1)
    stats = stoch if r.classes else 2 * stoch
    step = (stoch + agent.actions) * r.hidden + (r.hidden + r.deter) * 3 * r.deter
    prior = mlp(r.deter, r.hidden, 1, stats)
    posterior = mlp(r.deter + net.rssm.embed, r.hidden, 1, stats)
    encoder, decoder = _plain(agent)
    feat, first = r.features, encoder[0] if encoder else 0.0
    reward, discount, actor, critic = (
        mlp(feat, h.units, h.layers, n) for h, n in
        ((c.reward_head, 1), (c.discount_head, 1), (c.actor, agent.actions), (c.critic, 1))
    )  # fmt: skip
    heads = reward + (discount if c.predict_discount else 0.0)
    slot = c.prototypes.dim * (net.rssm.embed + feat + 2 * c.prototypes.count)
    slot = 3 * slot + sum(encoder) if net.prototypes else 3 * sum(decoder)
    return {
        "encoder": rows * (3 * sum(encoder) - first),
        "prototypes" if net.prototypes else "decoder": rows * slot,
        "observe": rows * 3 * (step + prior + posterior),
        "heads": rows * 3 * heads,
        "imagine": starts * (step + prior + actor),
        "reward, discount, slow value": (starts + rows) * (heads + critic),
        "actor loss": starts * (3 * actor - feat * c.actor.units),
        "critic": starts * (3 * critic - feat * c.critic.units),
    }


def _pooled(agent: Any) -> tuple[list[float], list[float]]:
    """Of each stage for one image: encoder, decoder with its first maps."""
    c, encoder, decoder = agent.config.agent, [], []
    for images, side_of in ((agent.seen[0], "encoder"), (agent.images, "decoder")):
        if not images:
            continue
        shape = next(iter(images.values())).shape
        channels, coder = sum(s.shape[-1] for s in images.values()), getattr(c, side_of)
        side, depths = shape[0], [times * coder.depth for times in STAGES]
        if side_of == "encoder":
            for stage, depth in enumerate(depths):
                halved = not (coder.outer and stage == 0)
                # Max-pooling halves what a convolution of stride 1 has computed.
                out = side // 2 if halved and coder.strided else side
                encoder.append(25.0 * out * out * channels * depth)
                side, channels = side // 2 if halved else side, depth
            continue
        start = (side // shrinkage(coder)) ** 2 * depths[-1]
        stoch = c.rssm.stoch * c.rssm.classes
        dense = stoch * 2 * coder.units + 2 * coder.units * start
        blocks = coder.bspace
        decoder.append(c.rssm.deter * start / blocks + dense if blocks
                       else c.rssm.features * start)  # fmt: skip
        side //= shrinkage(coder)
        for depth, out in zip(depths[:0:-1], depths[-2::-1]):
            side *= 2
            decoder.append(25.0 * side * side * depth * out)
        side = side if coder.outer else 2 * side
        decoder.append(25.0 * side * side * depths[0] * channels)
    return encoder, decoder


def _plain(agent: Any) -> tuple[list[float], list[float]]:
    """Likewise of DreamerV2's plain convolutions."""
    c, net, encoder, decoder = agent.c, agent.net, [], []
    if net.seen[0]:
        shapes = list(net.seen[0].values())
        side, channels = shapes[0][0], sum(shape[-1] for shape in shapes)
        for stage, kernel in enumerate(c.encoder.kernels):
            side, depth = encoded_side(side, (kernel,)), c.encoder.cnn_depth * 2**stage
            encoder.append(float(kernel**2 * side * side * channels * depth))
            channels = depth
    if net.images:
        channels, side, kernels = 32 * c.decoder.cnn_depth, 1, c.decoder.kernels
        decoder.append(float(c.rssm.features * channels))
        for left, kernel in zip(range(len(kernels) - 1, -1, -1), kernels):
            last = sum(shape[-1] for shape in net.images.values())
            out = c.decoder.cnn_depth * 2 ** (left - 1) if left else last
            decoder.append(float(kernel**2 * side * side * channels * out))
            side, channels = 2 * (side - 1) + kernel, out
    return encoder, decoder
