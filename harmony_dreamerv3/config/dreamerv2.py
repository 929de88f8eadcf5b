"""Settings of `agents/dreamerv2.py`, DreamerV2 and DreamerPro, their ranges beside them."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from embodied.core import ranges
from embodied.core.errors import UserError
from embodied.core.ranges import Note, OutOfRange, Range
from harmony_dreamerv3.config import dreamerv3
from harmony_dreamerv3.config.checked import Checked, one_of
from harmony_dreamerv3.config.dreamerv3 import KeyedCoder


@dataclasses.dataclass(frozen=True)
class RSSMConfig(Checked):
    """The recurrent state-space model.

    Args:
      deter: size of the deterministic state.
      hidden: size of the hidden layers.
      stoch: number of latents.
      classes: of each latent; 0 makes them Gaussian.
      minstd: smallest standard deviation of Gaussian latents.
      gru_init: of the recurrent kernel: fan_in (torch's default, its bias too) or xavier.
    """

    deter: Annotated[int, ranges.COUNT, Note(symbol="h_t")]
    hidden: Annotated[int, ranges.COUNT]
    stoch: Annotated[int, ranges.COUNT, Note(symbol="z_t")]
    classes: Annotated[int, ranges.COUNT_OR_NONE, Note(symbol="z_t")]
    minstd: Annotated[float, ranges.POSITIVE]
    gru_init: str

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "gru_init", ("fan_in", "xavier"))

    @property
    def features(self) -> int:
        """Size F of the heads' input."""
        return self.deter + self.stoch * (self.classes or 1)


@dataclasses.dataclass(frozen=True)
class CoderConfig(KeyedCoder):
    """Encoder or decoder.

    Args:
      kind: of the image layers: plain, or residual with batch norm, for RLBench.
      kernels: of the plain image layers, which have stride 2 and no padding.
    """

    kind: str
    kernels: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "kind", ("plain", "residual"))
        for kernel in self.kernels:
            if isinstance(kernel, bool) or not isinstance(kernel, int) or not 2 <= kernel <= 64:
                raise OutOfRange("kernels", f"must be whole numbers from 2 to 64, got {kernel!r}")


@dataclasses.dataclass(frozen=True)
class PrototypesConfig(Checked):
    """DreamerPro's prototypes.

    Args:
      count: how many there are.
      dim: size of each.
      temperature: of the predicted assignments.
      sinkhorn_eps: temperature of the assignments themselves.
      sinkhorn_iters: how often these are balanced.
      shift: bound of the translation of a view along each axis.
      warm_up: first steps of a window that the SwAV and the temporal loss leave out.
      ema: share of encoder and projection that goes into their moving copies at every update.
      freeze: updates for which the prototypes stay as they were drawn.
    """

    count: Annotated[int, ranges.COUNT]
    dim: Annotated[int, ranges.COUNT]
    temperature: Annotated[float, ranges.POSITIVE]
    sinkhorn_eps: Annotated[float, ranges.POSITIVE]
    sinkhorn_iters: Annotated[int, ranges.COUNT]
    shift: Annotated[float, ranges.NOT_NEGATIVE, Note("pixels")]
    warm_up: Annotated[int, ranges.COUNT_OR_NONE, Note("agent steps")]
    ema: Annotated[float, ranges.SHARE]
    freeze: Annotated[int, ranges.COUNT_OR_NONE, Note("updates")]


@dataclasses.dataclass(frozen=True)
class HeadConfig(Checked):
    """A head on the latent features.

    Args:
      layers: hidden layers.
      units: size of each.
    """

    layers: Annotated[int, ranges.COUNT_OR_NONE]
    units: Annotated[int, ranges.COUNT]


@dataclasses.dataclass(frozen=True)
class ActorConfig(HeadConfig):
    """The policy head.

    Args:
      dist: of continuous actions: trunc_normal, or tanh_normal (DreamerPro).
      minstd: smallest standard deviation of continuous actions.
      draws: of the tanh_normal, for its entropy and for the densest action in evaluations.
    """

    dist: str
    minstd: Annotated[float, ranges.POSITIVE]
    draws: Annotated[int, ranges.COUNT]

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "dist", ("trunc_normal", "tanh_normal"))


@dataclasses.dataclass(frozen=True)
class OptConfig(dreamerv3.OptConfig):
    """Adam after clipping by global norm.

    Args:
      wd: weight decay.
      decay: coupled adds wd * parameter to the gradient; decoupled (DreamerPro) shrinks the
        parameter by wd and adds eps before the second moment is corrected.
    """

    wd: Annotated[float, ranges.NOT_NEGATIVE]
    decay: str

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "decay", ("coupled", "decoupled"))


@dataclasses.dataclass(frozen=True)
class LossScales(Checked):
    """Weights under `balance.method fixed`; of losses in no task, under every method.

    Args:
      image: of every decoded image.
      vector: of every decoded vector.
      reward: of the reward; another method does not apply it.
      discount: of the predicted discount.
      kl: of both KLs; another method does not apply it.
      swav: of the assignments predicted by the other view (DreamerPro).
      temp: of the assignments predicted by the latent state.
      norm: of the projections' distance from length one.
    """

    image: Annotated[float, ranges.NOT_NEGATIVE, Note(symbol="w_o")]
    vector: Annotated[float, ranges.NOT_NEGATIVE, Note(symbol="w_o")]
    reward: Annotated[float, ranges.NOT_NEGATIVE, Note(symbol="w_r")]
    discount: Annotated[float, ranges.NOT_NEGATIVE]
    kl: Annotated[float, ranges.NOT_NEGATIVE, Note(symbol="w_d")]
    swav: Annotated[float, ranges.NOT_NEGATIVE]
    temp: Annotated[float, ranges.NOT_NEGATIVE]
    norm: Annotated[float, ranges.NOT_NEGATIVE]


@dataclasses.dataclass(frozen=True)
class AgentConfig(Checked):
    """The agent; its fields stand at the top of a configuration beside those of every base.

    Args:
      observation: what the latents must explain: decoder, or prototypes (DreamerPro), which need
        images and no decoder keys.
      predict_discount: False: the discount is constant, for tasks that never end by themselves.
      clip_rewards: what the reward head learns: identity or tanh of the reward.
      kl_balance: share of the KL that trains the prior, not the posterior.
      free_nats: mean KL of a batch below which neither is trained.
      imag_horizon: steps imagined from every posterior.
      discount: weight of the next step's value.
      return_lambda: mixes bootstrapped values into returns.
      actent: weight of the policy's entropy.
      start_return: the actor's objective begins with the return of the start (DreamerPro), not
        of the state after it.
      slow_critic_every: updates between copies of the critic, the first of them included.
      entropy_in_critic_target: a slip of the torch code, which only parity sets.
    """

    observation: str
    rssm: RSSMConfig
    encoder: CoderConfig
    decoder: CoderConfig
    prototypes: PrototypesConfig
    reward_head: HeadConfig
    discount_head: HeadConfig
    predict_discount: bool
    clip_rewards: str
    loss_scales: LossScales
    kl_balance: Annotated[float, ranges.SHARE, Note(symbol="α")]
    free_nats: Annotated[float, ranges.NOT_NEGATIVE, Note("nats")]
    model_opt: OptConfig
    actor: ActorConfig
    critic: HeadConfig
    actor_opt: OptConfig
    critic_opt: OptConfig
    imag_horizon: Annotated[int, ranges.COUNT, Note("agent steps", symbol="H")]
    discount: Annotated[float, ranges.SHARE, Note(symbol="γ")]
    return_lambda: Annotated[float, ranges.SHARE, Note(symbol="λ")]
    actent: Annotated[float, ranges.NOT_NEGATIVE, Note(symbol="η")]
    start_return: bool
    slow_critic_every: Annotated[int, ranges.COUNT, Note("updates")]
    entropy_in_critic_target: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.start_return:
            ranges.check(self, {"imag_horizon": Range(2, ranges.MAX_COUNT)})
        one_of(self, "observation", ("decoder", "prototypes"))
        one_of(self, "clip_rewards", ("identity", "tanh"))


def check_observation(config: AgentConfig, images: bool, decoded: bool) -> None:
    """Raises UserError where prototypes lack images, or stand beside a decoder.

    Args:
      config: the settings.
      images: whether the encoder sees images.
      decoded: whether the decoder has keys.
    """
    if config.observation != "prototypes":
        return
    if not images:
        raise UserError(
            "observation: prototypes compares shifted views of images, but encoder.cnn_keys "
            f"{config.encoder.cnn_keys!r} matches no image of this task; take observation: decoder"
        )
    if decoded:
        raise UserError(
            "observation: prototypes has no decoder, but decoder.cnn_keys "
            f"{config.decoder.cnn_keys!r} and decoder.mlp_keys {config.decoder.mlp_keys!r} match "
            "observations; set both to '$^', or take observation: decoder"
        )
