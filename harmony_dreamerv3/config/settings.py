"""The frozen dataclasses of a configuration; each checks its own values."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from embodied.core import ranges
from embodied.core.errors import UserError, nearest
from embodied.core.ranges import OutOfRange, Range
from embodied.core.rng import SEEDS
from embodied.run.config import RunConfig


@dataclasses.dataclass(frozen=True)
class RSSMConfig:
    """Sizes of the recurrent state-space model; `unimix` in [0, 1)."""

    deter: int
    units: int
    stoch: int
    classes: int
    unimix: float

    def __post_init__(self) -> None:
        sizes = dict.fromkeys(("deter", "units", "stoch", "classes"), ranges.COUNT)
        ranges.check(self, {**sizes, "unimix": ranges.SHARE_BELOW_ONE})

    @property
    def features(self) -> int:
        """Size F of the heads' input: deter and flattened stoch."""
        return self.deter + self.stoch * self.classes


@dataclasses.dataclass(frozen=True)
class CoderConfig:
    """Encoder or decoder: regular expressions of keys, sizes."""

    mlp_keys: str
    cnn_keys: str
    mlp_layers: int
    mlp_units: int
    cnn_depth: int
    minres: int

    def __post_init__(self) -> None:
        sizes = ("mlp_layers", "mlp_units", "cnn_depth", "minres")
        ranges.check(self, dict.fromkeys(sizes, ranges.COUNT))
        for name in ("mlp_keys", "cnn_keys"):
            pattern = getattr(self, name)
            try:
                re.compile(pattern)
            except (re.error, RecursionError, OverflowError) as error:
                raise OutOfRange(
                    name, f"must be a regular expression, got {pattern!r}: {error}"
                ) from error


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    """An MLP head; `bins` of the two-hot heads."""

    layers: int
    units: int
    outscale: float
    bins: int = 255

    def __post_init__(self) -> None:
        own = {"outscale": ranges.NOT_NEGATIVE, "bins": Range(2, ranges.MAX_COUNT)}
        ranges.check(self, {"layers": ranges.COUNT_OR_NONE, "units": ranges.COUNT, **own})


@dataclasses.dataclass(frozen=True)
class ActorConfig:
    """The policy head; `unimix` for one-hot actions, `minstd`, `maxstd` for Gaussian ones."""

    layers: int
    units: int
    outscale: float
    unimix: float
    minstd: float
    maxstd: float

    def __post_init__(self) -> None:
        own = {"outscale": ranges.NOT_NEGATIVE, "unimix": ranges.SHARE_BELOW_ONE}
        own |= {"minstd": ranges.POSITIVE, "maxstd": Range(self.minstd)}
        ranges.check(self, {"layers": ranges.COUNT_OR_NONE, "units": ranges.COUNT, **own})


@dataclasses.dataclass(frozen=True)
class OptConfig:
    """Adam after clipping by global norm."""

    lr: float
    eps: float
    clip: float

    def __post_init__(self) -> None:
        clip = Range(0, above=True, infinite=True)  # Imported runs may not clip.
        ranges.check(self, {"lr": ranges.NOT_NEGATIVE, "eps": ranges.NOT_NEGATIVE, "clip": clip})


@dataclasses.dataclass(frozen=True)
class LossScales:
    """Weights of the baseline; under other balance methods only dyn and rep act, as alpha."""

    image: float
    vector: float
    reward: float
    cont: float
    dyn: float
    rep: float

    def __post_init__(self) -> None:
        names = (field.name for field in dataclasses.fields(self))
        ranges.check(self, dict.fromkeys(names, ranges.NOT_NEGATIVE))


# Weights inside a task that follow from the loss scales.
WEIGHT_WORDS = ("alpha", "1-alpha")


@dataclasses.dataclass(frozen=True)
class BalanceConfig:
    """Loss balancing: the method and its tasks (see docs/balance.md)."""

    method: str
    tasks: Mapping[str, Mapping[str, float | str]]
    weights: Mapping[str, float]
    dyn_regularizer: str
    vectors: bool
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        for task, held in self.weights.items():
            if held not in ranges.NOT_NEGATIVE:
                raise OutOfRange(
                    f"weights.{task}", f"must be a finite number of at least 0, got {held!r}"
                )
        for task, losses in self.tasks.items():
            if not isinstance(task, str):
                raise OutOfRange("tasks", f"must have names of letters, got {task!r}")
            if not isinstance(losses, Mapping):
                example = f"'{{{task}: {{reward: 1.0}}}}'"
                raise OutOfRange(
                    f"tasks.{task}",
                    f"must be a mapping of losses to weights, as in {example}, got {losses!r}",
                )
            for loss, weight in losses.items():
                word = isinstance(weight, str) and weight.replace(" ", "") in WEIGHT_WORDS
                if not word and weight not in ranges.NOT_NEGATIVE:
                    raise UserError(
                        f"balance.tasks.{task}.{loss}: expected a number, alpha or 1-alpha "
                        f"(numbers at least 0 and finite), got {weight!r}"
                    )


@dataclasses.dataclass(frozen=True)
class RetnormConfig:
    """Return normalisation: EMA decay, least scale, percentiles."""

    decay: float
    max: float
    perclo: float
    perchi: float

    def __post_init__(self) -> None:
        high = Range(self.perclo, 100)
        own = {"decay": ranges.SHARE, "max": ranges.POSITIVE}
        ranges.check(self, {**own, "perclo": Range(0, 100), "perchi": high})


@dataclasses.dataclass(frozen=True)
class JaxConfig:
    """Where and how the program runs."""

    platform: str
    precision: str
    matmul_precision: str
    prealloc: bool
    deterministic: bool
    cache: bool
    device_replay: str
    population_devices: int
    data_devices: int
    coordinator: str
    processes: int
    process: int
    debug_nans: bool

    def __post_init__(self) -> None:
        counts = ("population_devices", "data_devices", "processes")
        ranges.check(self, dict.fromkeys(counts, ranges.COUNT), "jax.")
        ranges.check(self, {"process": Range(0, self.processes - 1)}, "jax.")
        if self.processes > 1 and not self.coordinator:
            raise UserError(
                f"jax.processes is {self.processes}, but there is no jax.coordinator; give the "
                "host:port of the first process, or auto"
            )


HEADS = ("decoder", "reward", "cont")  # whose gradient may reach the latents


@dataclasses.dataclass(frozen=True)
class Config:
    """The whole configuration; field names are the keys of `configs.yaml`."""

    task: str
    method: str
    seed: int
    logdir: str
    rssm: RSSMConfig
    encoder: CoderConfig
    decoder: CoderConfig
    reward_head: HeadConfig
    cont_head: HeadConfig
    grad_heads: tuple[str, ...]
    loss_scales: LossScales
    free_nats: float
    model_opt: OptConfig
    balance: BalanceConfig
    actor: ActorConfig
    critic: HeadConfig
    actor_opt: OptConfig
    critic_opt: OptConfig
    imag_horizon: int
    horizon: float
    return_lambda: float
    actent: float
    retnorm: RetnormConfig
    slow_critic_fraction: float
    batch_size: int
    batch_length: int
    jax: JaxConfig
    run: RunConfig
    env: Mapping[str, Any]

    def __post_init__(self) -> None:
        counts = ("imag_horizon", "batch_size", "batch_length")
        shares = ("return_lambda", "slow_critic_fraction")
        own = {"seed": SEEDS, "free_nats": ranges.NOT_NEGATIVE, "actent": ranges.NOT_NEGATIVE}
        own |= {"horizon": Range(1)} | dict.fromkeys(shares, ranges.SHARE)
        ranges.check(self, {**own, **dict.fromkeys(counts, ranges.COUNT)})
        for head in self.grad_heads:
            if head not in HEADS:
                raise UserError(
                    f"grad_heads: expected any of {', '.join(HEADS)}, got {head!r}"
                    f"{nearest(head, HEADS)}"
                )
