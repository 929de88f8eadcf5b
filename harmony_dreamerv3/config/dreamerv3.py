"""Settings of the agent of `agents/dreamerv3.py`, DreamerV3 of 2023, their ranges beside them."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from embodied.core import ranges
from embodied.core.errors import UserError, nearest
from embodied.core.ranges import Note, Range
from harmony_dreamerv3.config.checked import Checked, Keyed


@dataclasses.dataclass(frozen=True)
class Latents(Checked):
    """Sizes of latent states.

    Args:
      deter: size of the deterministic state.
      stoch: number of categorical latents.
      classes: of each latent.
      unimix: share of a uniform distribution mixed into each latent.
    """

    deter: Annotated[int, ranges.COUNT, Note(symbol="h_t")]
    stoch: Annotated[int, ranges.COUNT, Note(symbol="z_t")]
    classes: Annotated[int, ranges.COUNT, Note(symbol="z_t")]
    unimix: Annotated[float, ranges.SHARE_BELOW_ONE]

    @property
    def features(self) -> int:
        """Size F of the heads' input: deter and flattened stoch."""
        return self.deter + self.stoch * self.classes


@dataclasses.dataclass(frozen=True)
class RSSMConfig(Latents):
    """The recurrent state-space model.

    Args:
      units: size of the hidden layers.
    """

    units: Annotated[int, ranges.COUNT]


@dataclasses.dataclass(frozen=True)
class KeyedCoder(Keyed):
    """Layers whose channels double.

    Args:
      mlp_layers: layers for vectors.
      mlp_units: size of each.
      cnn_depth: channels of the largest image layer; they double with every halving.
    """

    mlp_layers: Annotated[int, ranges.COUNT]
    mlp_units: Annotated[int, ranges.COUNT]
    cnn_depth: Annotated[int, ranges.COUNT]


@dataclasses.dataclass(frozen=True)
class CoderConfig(KeyedCoder):
    """Encoder or decoder.

    Args:
      minres: side of the smallest image layer in pixels.
    """

    minres: Annotated[int, ranges.COUNT, Note("pixels")]


@dataclasses.dataclass(frozen=True)
class HeadConfig(Checked):
    """An MLP head.

    Args:
      layers: hidden layers.
      units: size of each.
      outscale: factor of the last layer's initial weights; 0 starts with zeros.
      bins: of a two-hot head.
    """

    layers: Annotated[int, ranges.COUNT_OR_NONE]
    units: Annotated[int, ranges.COUNT]
    outscale: Annotated[float, ranges.NOT_NEGATIVE]
    bins: Annotated[int, Range(2, ranges.MAX_COUNT)] = 255


@dataclasses.dataclass(frozen=True)
class ActorConfig(Checked):
    """The policy head.

    Args:
      layers: hidden layers.
      units: size of each.
      outscale: factor of the last layer's initial weights.
      unimix: share of a uniform distribution mixed into one-hot actions.
      minstd: least standard deviation of Gaussian actions.
      maxstd: largest one, at least minstd.
    """

    layers: Annotated[int, ranges.COUNT_OR_NONE]
    units: Annotated[int, ranges.COUNT]
    outscale: Annotated[float, ranges.NOT_NEGATIVE]
    unimix: Annotated[float, ranges.SHARE_BELOW_ONE]
    minstd: Annotated[float, ranges.POSITIVE]
    maxstd: float

    def __post_init__(self) -> None:
        super().__post_init__()
        ranges.check(self, {"maxstd": Range(self.minstd)})


@dataclasses.dataclass(frozen=True)
class OptConfig(Checked):
    """Adam after clipping by global norm.

    Args:
      lr: learning rate.
      eps: added to the root of the second moment.
      clip: largest norm of a gradient; inf does not clip.
    """

    lr: Annotated[float, ranges.NOT_NEGATIVE]
    eps: Annotated[float, ranges.NOT_NEGATIVE]
    clip: Annotated[float, Range(0, above=True, infinite=True)]  # Imported runs may not clip.


@dataclasses.dataclass(frozen=True)
class LossScales(Checked):
    """Weights of the baseline; under other balance methods only dyn and rep act, as alpha.

    Args:
      image: of every reconstructed image.
      vector: of every reconstructed vector.
      reward: of the reward head.
      cont: of the continue head.
      dyn: of the KL that trains the prior.
      rep: of the KL that trains the posterior.
    """

    image: Annotated[float, ranges.NOT_NEGATIVE, Note(symbol="w_o")]
    vector: Annotated[float, ranges.NOT_NEGATIVE, Note(symbol="w_o")]
    reward: Annotated[float, ranges.NOT_NEGATIVE, Note(symbol="w_r")]
    cont: Annotated[float, ranges.NOT_NEGATIVE]
    dyn: Annotated[float, ranges.NOT_NEGATIVE, Note(symbol="w_d α")]
    rep: Annotated[float, ranges.NOT_NEGATIVE, Note(symbol="w_d (1 - α)")]


@dataclasses.dataclass(frozen=True)
class RetnormConfig(Checked):
    """Return normalisation.

    Args:
      decay: of the moving averages of both percentiles, for each update.
      max: least divisor of returns.
      perclo: lower percentile.
      perchi: upper percentile, from perclo to 100.
    """

    decay: Annotated[float, ranges.SHARE]
    max: Annotated[float, ranges.POSITIVE]
    perclo: Annotated[float, Range(0, 100), Note("percent")]
    perchi: Annotated[float, Note("percent")]

    def __post_init__(self) -> None:
        super().__post_init__()
        ranges.check(self, {"perchi": Range(self.perclo, 100)})


HEADS = ("decoder", "reward", "cont")  # whose gradient may reach the latents


@dataclasses.dataclass(frozen=True)
class AgentConfig(Checked):
    """The agent; its fields stand at the top of a configuration beside those of every base.

    Args:
      grad_heads: heads whose gradient reaches the latents, of decoder, reward, cont.
      free_nats: KL below which dynamics and representation are not trained.
      imag_horizon: steps imagined from every posterior.
      horizon: steps over which rewards count; the discount is 1 - 1 / horizon.
      return_lambda: mixes bootstrapped values into returns.
      actent: weight of the policy's entropy.
      slow_critic_fraction: of the way to the critic that the slow critic moves in an update.
    """

    rssm: RSSMConfig
    encoder: CoderConfig
    decoder: CoderConfig
    reward_head: HeadConfig
    cont_head: HeadConfig
    grad_heads: tuple[str, ...]
    loss_scales: LossScales
    free_nats: Annotated[float, ranges.NOT_NEGATIVE, Note("nats")]
    model_opt: OptConfig
    actor: ActorConfig
    critic: HeadConfig
    actor_opt: OptConfig
    critic_opt: OptConfig
    imag_horizon: Annotated[int, ranges.COUNT, Note("agent steps", symbol="H")]
    horizon: Annotated[float, Range(1, above=True), Note("agent steps", symbol="1 / (1 - γ)")]
    return_lambda: Annotated[float, ranges.SHARE, Note(symbol="λ")]
    actent: Annotated[float, ranges.NOT_NEGATIVE, Note(symbol="η")]
    retnorm: RetnormConfig
    slow_critic_fraction: Annotated[float, ranges.SHARE]

    def __post_init__(self) -> None:
        super().__post_init__()
        for head in self.grad_heads:
            if head not in HEADS:
                raise UserError(
                    f"grad_heads: expected any of {', '.join(HEADS)}, got {head!r}"
                    f"{nearest(head, HEADS)}"
                )
