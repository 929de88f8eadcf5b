"""Settings of `agents/dreamerv2.py`, DreamerV2 and DreamerPro, their ranges beside them."""

from __future__ import annotations

import dataclasses
import re

from embodied.core import ranges
from embodied.core.errors import UserError, nearest
from embodied.core.ranges import OutOfRange, Range


@dataclasses.dataclass(frozen=True)
class RSSMConfig:
    """Sizes of the recurrent state-space model; `classes` 0 makes the latents Gaussian.

    `gru_init` is `fan_in` (torch's default) or `xavier`; `minstd` is for Gaussian latents.
    """

    deter: int
    hidden: int
    stoch: int
    classes: int
    minstd: float
    gru_init: str

    def __post_init__(self) -> None:
        sizes = dict.fromkeys(("deter", "hidden", "stoch"), ranges.COUNT)
        own = {"classes": ranges.COUNT_OR_NONE, "minstd": ranges.POSITIVE}
        ranges.check(self, sizes | own)
        one_of(self, "gru_init", ("fan_in", "xavier"))

    @property
    def features(self) -> int:
        """Size F of the heads' input."""
        return self.deter + self.stoch * (self.classes or 1)


@dataclasses.dataclass(frozen=True)
class CoderConfig:
    """Encoder or decoder: `kind` plain or residual, regular expressions of keys, sizes.

    `kernels` are those of the plain convolutions, which all have stride 2 and no padding.
    """

    kind: str
    mlp_keys: str
    cnn_keys: str
    mlp_layers: int
    mlp_units: int
    cnn_depth: int
    kernels: tuple[int, ...]

    def __post_init__(self) -> None:
        one_of(self, "kind", ("plain", "residual"))
        sizes = ("mlp_layers", "mlp_units", "cnn_depth")
        ranges.check(self, dict.fromkeys(sizes, ranges.COUNT))
        for kernel in self.kernels:
            if isinstance(kernel, bool) or not isinstance(kernel, int) or not 2 <= kernel <= 64:
                raise OutOfRange("kernels", f"must be whole numbers from 2 to 64, got {kernel!r}")
        for name in ("mlp_keys", "cnn_keys"):
            pattern = getattr(self, name)
            try:
                re.compile(pattern)
            except (re.error, RecursionError, OverflowError) as error:
                raise OutOfRange(
                    name, f"must be a regular expression, got {pattern!r}: {error}"
                ) from error


@dataclasses.dataclass(frozen=True)
class PrototypesConfig:
    """DreamerPro's prototypes: `count` of size `dim`, and how they are trained.

    `shift` in pixels bounds the translation of a view; the first `warm_up` steps of a window count
    neither for SwAV nor for the temporal loss; `ema` is the share of the online networks that goes
    into their moving copies at every update; the first `freeze` updates leave the prototypes.
    """

    count: int
    dim: int
    temperature: float
    sinkhorn_eps: float
    sinkhorn_iters: int
    shift: float
    warm_up: int
    ema: float
    freeze: int

    def __post_init__(self) -> None:
        own = dict.fromkeys(("count", "dim", "sinkhorn_iters"), ranges.COUNT)
        own |= dict.fromkeys(("warm_up", "freeze"), ranges.COUNT_OR_NONE)
        own |= dict.fromkeys(("temperature", "sinkhorn_eps"), ranges.POSITIVE)
        ranges.check(self, own | {"shift": ranges.NOT_NEGATIVE, "ema": ranges.SHARE})


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    """An MLP head."""

    layers: int
    units: int

    def __post_init__(self) -> None:
        ranges.check(self, {"layers": ranges.COUNT_OR_NONE, "units": ranges.COUNT})


@dataclasses.dataclass(frozen=True)
class ActorConfig:
    """The policy head; `dist` of continuous actions: trunc_normal or tanh_normal.

    `draws`: of the squashed normal, for its entropy and for the densest action in evaluations.
    """

    layers: int
    units: int
    dist: str
    minstd: float
    draws: int

    def __post_init__(self) -> None:
        own = {"minstd": ranges.POSITIVE, "draws": ranges.COUNT}
        ranges.check(self, {"layers": ranges.COUNT_OR_NONE, "units": ranges.COUNT, **own})
        one_of(self, "dist", ("trunc_normal", "tanh_normal"))


@dataclasses.dataclass(frozen=True)
class OptConfig:
    """Adam after clipping by global norm; `decay` says what `wd` does (see `optim_v2`)."""

    lr: float
    eps: float
    clip: float
    wd: float
    decay: str

    def __post_init__(self) -> None:
        own = dict.fromkeys(("lr", "eps", "wd"), ranges.NOT_NEGATIVE)
        ranges.check(self, {**own, "clip": Range(0, above=True, infinite=True)})
        one_of(self, "decay", ("coupled", "decoupled"))


@dataclasses.dataclass(frozen=True)
class LossScales:
    """Weights of the losses under `balance.method fixed`; of those in no task, under every one."""

    image: float
    vector: float
    reward: float
    discount: float
    kl: float
    swav: float
    temp: float
    norm: float

    def __post_init__(self) -> None:
        names = (field.name for field in dataclasses.fields(self))
        ranges.check(self, dict.fromkeys(names, ranges.NOT_NEGATIVE))


@dataclasses.dataclass(frozen=True)
class AgentConfig:
    """All settings of the DreamerV2 base."""

    observation: str  # what the latents must explain: decoder or prototypes
    rssm: RSSMConfig
    encoder: CoderConfig
    decoder: CoderConfig
    prototypes: PrototypesConfig
    reward_head: HeadConfig
    discount_head: HeadConfig
    predict_discount: bool
    clip_rewards: str
    loss_scales: LossScales
    kl_balance: float
    free_nats: float
    model_opt: OptConfig
    actor: ActorConfig
    critic: HeadConfig
    actor_opt: OptConfig
    critic_opt: OptConfig
    imag_horizon: int
    discount: float
    return_lambda: float
    actent: float
    start_return: bool
    slow_critic_every: int
    entropy_in_critic_target: bool

    def __post_init__(self) -> None:
        own = dict.fromkeys(("kl_balance", "discount", "return_lambda"), ranges.SHARE)
        own |= dict.fromkeys(("free_nats", "actent"), ranges.NOT_NEGATIVE)
        # The objective of V2 begins with the return of state 1.
        own |= {"imag_horizon": Range(1 if self.start_return else 2, ranges.MAX_COUNT)}
        ranges.check(self, own | {"slow_critic_every": ranges.COUNT})
        one_of(self, "observation", ("decoder", "prototypes"))
        one_of(self, "clip_rewards", ("identity", "tanh"))


def one_of(settings: object, name: str, words: tuple[str, ...]) -> None:
    """Raises unless a field is one of `words`."""
    value = getattr(settings, name)
    if value not in words:
        hint = nearest(value, words) if isinstance(value, str) else ""
        raise OutOfRange(name, f"must be one of {', '.join(words)}, got {value!r}{hint}")


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
