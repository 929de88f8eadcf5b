"""Settings of the agent of `agents/dreamerv3_2025.py`, their ranges beside them."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from embodied.core import ranges
from embodied.core.ranges import Note, OutOfRange, Range
from harmony_dreamerv3.config import dreamerv3
from harmony_dreamerv3.config.checked import Checked, Keyed, one_of
from harmony_dreamerv3.config.dreamerv3 import ActorConfig


@dataclasses.dataclass(frozen=True)
class BlockRSSMConfig(dreamerv3.Latents):
    """The block-recurrent state-space model.

    Args:
      hidden: width of its layers.
      blocks: groups in which the recurrence is block-diagonal; a divisor of `deter`.
      dyn_layers: block layers before the gates.
      obs_layers: hidden layers of the posterior.
      img_layers: hidden layers of the prior.
      absolute: the posterior sees the tokens alone, not the deterministic state.
    """

    hidden: Annotated[int, ranges.COUNT]
    blocks: Annotated[int, ranges.COUNT]
    dyn_layers: Annotated[int, ranges.COUNT_OR_NONE]
    obs_layers: Annotated[int, ranges.COUNT_OR_NONE]
    img_layers: Annotated[int, ranges.COUNT_OR_NONE]
    absolute: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.deter % self.blocks:
            raise OutOfRange("blocks", f"must divide rssm.deter ({self.deter}), got {self.blocks}")


@dataclasses.dataclass(frozen=True)
class CoderConfig(Keyed):
    """Convolutions for images, layers for vectors.

    Args:
      depth: the four stages have 2, 3, 4 and 4 times as many channels, the decoder's from the
        last to the first.
      layers: for vectors.
      units: size of each, in the decoder half the size of the layer from latents to images, too.
      strided: halve by convolutions of stride 2 instead of max-pooling; double by transposed
        ones instead of repeating pixels.
      outer: the stage beside the image works at full resolution.
    """

    depth: Annotated[int, ranges.COUNT]
    layers: Annotated[int, ranges.COUNT_OR_NONE]
    units: Annotated[int, ranges.COUNT]
    strided: bool
    outer: bool


@dataclasses.dataclass(frozen=True)
class EncoderConfig(CoderConfig):
    """The encoder.

    Args:
      symlog: squash vectors by symlog.
    """

    symlog: bool


@dataclasses.dataclass(frozen=True)
class DecoderConfig(CoderConfig):
    """The mirror image of the encoder.

    Args:
      bspace: blocks of the map from deter to the first image; 0 for one dense map of all features.
    """

    bspace: Annotated[int, ranges.COUNT_OR_NONE]


@dataclasses.dataclass(frozen=True)
class HeadConfig(dreamerv3.HeadConfig):
    """A prediction head.

    Args:
      bins: of a two-hot head, an odd number.
    """

    bins: Annotated[int, Range(3, ranges.MAX_COUNT)] = 255

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bins % 2 == 0:
            raise OutOfRange("bins", f"must be odd, so that one bin is zero, got {self.bins}")


@dataclasses.dataclass(frozen=True)
class LossScales(dreamerv3.LossScales):
    """Weights of the losses; under other balance methods than fixed, tasks have their own.

    Args:
      policy: of the actor.
      value: of the critic on imagined states.
      repval: of the critic on replayed states.
    """

    policy: Annotated[float, ranges.NOT_NEGATIVE]
    value: Annotated[float, ranges.NOT_NEGATIVE]
    repval: Annotated[float, ranges.NOT_NEGATIVE]


@dataclasses.dataclass(frozen=True)
class LaPropConfig(Checked):
    """Adaptive gradient clipping, LaProp, weight decay, linear warm-up.

    Args:
      lr: learning rate after the warm-up.
      warmup: over which it rises from 0; 0 for none.
      agc: largest norm of a tensor's gradient relative to the tensor's own; 0 does not clip.
      wd: weight decay of kernels, times lr.
      beta1: decay of the momentum.
      beta2: decay of the second moment.
      eps: added to its root.
    """

    lr: Annotated[float, ranges.NOT_NEGATIVE]
    warmup: Annotated[int, ranges.COUNT_OR_NONE, Note("updates")]
    agc: Annotated[float, ranges.NOT_NEGATIVE]
    wd: Annotated[float, ranges.NOT_NEGATIVE]
    beta1: Annotated[float, ranges.SHARE_BELOW_ONE]
    beta2: Annotated[float, ranges.SHARE_BELOW_ONE]
    eps: Annotated[float, ranges.NOT_NEGATIVE]


@dataclasses.dataclass(frozen=True)
class NormConfig(Checked):
    """Moving statistics that returns, targets or advantages are divided by.

    Args:
      impl: perc (two percentiles), meanstd (mean and deviation) or none.
      rate: weight of the newest batch.
      limit: least divisor.
      perclo: lower percentile.
      perchi: upper percentile, from perclo to 100.
      debias: divide by the weight that batches have had so far, as Adam does.
    """

    impl: str
    rate: Annotated[float, Range(0, 1, above=True)]
    limit: Annotated[float, ranges.POSITIVE]
    perclo: Annotated[float, Range(0, 100), Note("percent")]
    perchi: Annotated[float, Note("percent")]
    debias: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        ranges.check(self, {"perchi": Range(self.perclo, 100)})
        one_of(self, "impl", ("none", "perc", "meanstd"))


@dataclasses.dataclass(frozen=True)
class SlowCriticConfig(Checked):
    """The slow critic.

    Args:
      rate: of the way to the critic that it moves.
      every: how often it does.
    """

    rate: Annotated[float, ranges.SHARE]
    every: Annotated[int, ranges.COUNT, Note("updates")]


@dataclasses.dataclass(frozen=True)
class ReplayValueConfig(Checked):
    """The critic's loss on replayed steps; its weight is `loss_scales.repval`.

    Args:
      return_lambda: mixes bootstrapped values into returns.
      slowreg: weight of the slow critic's prediction as a second target.
      grad: its gradient reaches the latents.
    """

    return_lambda: Annotated[float, ranges.SHARE, Note(symbol="λ")]
    slowreg: Annotated[float, ranges.NOT_NEGATIVE]
    grad: bool


@dataclasses.dataclass(frozen=True)
class AgentConfig(Checked):
    """The agent; its fields stand at the top of a configuration beside those of every base.

    Args:
      reward_grad: the reward loss reaches the latents.
      free_nats: KL below which dynamics and representation are not trained.
      imag_horizon: steps imagined from every posterior.
      imag_last: imagine from this many last steps of each window; 0 from all.
      ac_grads: policy and value losses of the first imagined state reach the latents.
      horizon: steps over which rewards count; the discount is 1 - 1 / horizon.
      contdisc: the continue head learns the discount; else imagined returns are discounted.
      return_lambda: mixes bootstrapped values into returns.
      slow_target: values in returns and advantages are the slow critic's.
      slowreg: weight of the slow critic's prediction as a second target.
      actent: weight of the policy's entropy.
      retnorm: divides advantages by the range of returns.
      valnorm: normalises the critic's targets.
      advnorm: normalises advantages.
    """

    rssm: BlockRSSMConfig
    encoder: EncoderConfig
    decoder: DecoderConfig
    reward_head: HeadConfig
    cont_head: HeadConfig
    reward_grad: bool
    loss_scales: LossScales
    free_nats: Annotated[float, ranges.NOT_NEGATIVE, Note("nats")]
    opt: LaPropConfig
    actor: ActorConfig
    critic: HeadConfig
    slow_critic: SlowCriticConfig
    imag_horizon: Annotated[int, ranges.COUNT, Note("agent steps", symbol="H")]
    imag_last: Annotated[int, ranges.COUNT_OR_NONE, Note("agent steps", symbol="K")]
    ac_grads: bool
    horizon: Annotated[float, Range(1), Note("agent steps", symbol="1 / (1 - γ)")]
    contdisc: bool
    return_lambda: Annotated[float, ranges.SHARE, Note(symbol="λ")]
    slow_target: bool
    slowreg: Annotated[float, ranges.NOT_NEGATIVE]
    actent: Annotated[float, ranges.NOT_NEGATIVE, Note(symbol="η")]
    repval: ReplayValueConfig
    retnorm: NormConfig
    valnorm: NormConfig
    advnorm: NormConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decoder.bspace and self.rssm.deter % self.decoder.bspace:
            raise OutOfRange(
                "decoder.bspace",
                f"must divide rssm.deter ({self.rssm.deter}), got {self.decoder.bspace}",
            )
