"""Settings that every base has, as frozen dataclasses; each checks its own values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from embodied.core import ranges
from embodied.core.errors import UserError, nearest
from embodied.core.ranges import Note, OutOfRange, Range
from embodied.core.rng import SEEDS
from embodied.run.config import RunConfig

WEIGHT_WORDS = ("alpha", "1-alpha")  # Weights inside a task that follow from the loss scales.
REGULARIZERS = ("paper", "released")
METHODS = (
    "fixed", "harmony", "harmony_unrectified", "uncertainty", "dwa", "nashmtl", "reciprocal",
)  # fmt: skip
INITS = ("one", "first_loss")  # of learned weights


@dataclasses.dataclass(frozen=True)
class BalanceConfig:
    """Loss balancing: the method and its tasks (see docs/balance.md).

    Args:
      method: fixed, harmony, harmony_unrectified, uncertainty, dwa, nashmtl, reciprocal, or
        package.module:function of one's own.
      tasks: task to its losses with weights inside; `image` and `vector` stand for all decoder
        keys of that kind, alpha = loss_scales.dyn / (loss_scales.dyn + loss_scales.rep). Under
        `fixed`, loss_scales weigh the losses, too. Losses in no task are added at theirs.
      weights: task to its weight: under `fixed` the tuned weights, elsewhere tasks held fixed.
      dyn_regularizer: paper for log(1 + σ); released for α log(1 + σ), as in Table 2's code.
      vectors: False leaves vector losses outside the balanced tasks, as in the released code.
      options: further options of the method, such as {temperature: 2.0} for dwa.
      lr: learning rate of learned weights, by Adam; 0 trains them like the other parameters of
        the model, as released.
      init: where learned weights start: one, at σ = 1 as released; first_loss, at the optimum
        for the losses of the first update.
    """

    method: str
    tasks: Mapping[str, Mapping[str, float | str]]
    weights: Mapping[str, float]
    dyn_regularizer: str
    vectors: bool
    options: Mapping[str, Any]
    lr: Annotated[float, ranges.NOT_NEGATIVE]
    init: str

    def __post_init__(self) -> None:
        ranges.check_fields(self)
        if self.init not in INITS:
            raise UserError(
                f"balance.init: expected one of {', '.join(INITS)}, got {self.init!r}"
                f"{nearest(self.init, INITS)}"
            )
        if self.dyn_regularizer not in REGULARIZERS:
            raise UserError(
                f"balance.dyn_regularizer: expected one of {REGULARIZERS}, "
                f"got {self.dyn_regularizer!r}"
            )
        for task, weight in self.weights.items():
            if weight not in ranges.NOT_NEGATIVE:
                raise OutOfRange(
                    f"weights.{task}", f"must be a finite number of at least 0, got {weight!r}"
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
            for loss, share in losses.items():
                word = isinstance(share, str) and share.replace(" ", "") in WEIGHT_WORDS
                if not word and share not in ranges.NOT_NEGATIVE:
                    raise UserError(
                        f"balance.tasks.{task}.{loss}: expected a number, alpha or 1-alpha "
                        f"(numbers at least 0 and finite), got {share!r}"
                    )


@dataclasses.dataclass(frozen=True)
class JaxConfig:
    """Where and how the program runs.

    Args:
      platform: auto, cpu, gpu or tpu.
      precision: float32, bfloat16 or float64, of the computation.
      matmul_precision: highest, default or tensorfloat32, of float32 products on accelerators.
      prealloc: False takes GPU memory as needed, when several jobs share a device.
      deterministic: deterministic operations on GPU, at some cost of speed.
      cache: keep compiled programs in ~/.cache/harmony_dreamerv3.
      device_replay: auto, True or False: keep the replay in accelerator memory, where it fits and
        no array has more than 2^31 numbers.
      population_devices: devices that share the learners of `--seeds`.
      data_devices: devices that share the windows of each batch.
      coordinator: several processes train one seed: host:port of the first, or auto.
      processes: with coordinator host:port: how many there are.
      process: with coordinator host:port: which one this is, from 0.
      debug_nans: stop where a NaN comes up first; slow.
      fast: False computes everything by its plain, slower twin in nets/fast.
    """

    platform: str
    precision: str
    matmul_precision: str
    prealloc: bool
    deterministic: bool
    cache: bool
    device_replay: str
    population_devices: Annotated[int, ranges.COUNT]
    data_devices: Annotated[int, ranges.COUNT]
    coordinator: str
    processes: Annotated[int, ranges.COUNT]
    process: int
    debug_nans: bool
    fast: bool

    def alone(self, platform: str | None) -> JaxConfig:
        """Returns the settings of one process on one device, of another platform if given."""
        return dataclasses.replace(
            self, platform=platform or self.platform,
            population_devices=1, data_devices=1, coordinator="", processes=1, process=0,
        )  # fmt: skip

    def __post_init__(self) -> None:
        ranges.check_fields(self, "jax.")
        ranges.check(self, {"process": Range(0, self.processes - 1)}, "jax.")
        if self.processes > 1 and not self.coordinator:
            raise UserError(
                f"jax.processes is {self.processes}, but there is no jax.coordinator; give the "
                "host:port of the first process, or auto"
            )


@dataclasses.dataclass(frozen=True)
class Config:
    """The whole configuration: what every base has, and the agent of one.

    The fields are the keys of `configs.yaml`, except that those of `agent` stand at the top.

    Args:
      base: the agent: a name of `config.bases`.
      task: suite_name, e.g. atari_pong, dmc_walker_walk, gym_CartPole-v1.
      label: name of this run's column in tables; empty: that of what runs.
      seed: of all draws.
      logdir: run folder; empty for runs/TASK-LABEL-SEED.
      init: run, checkpoint, hub folder or file of parameters that a new run begins with.
      init_keys: regular expression of the parameters that `init` takes; empty for all that fit.
      agent: the `AgentConfig` of the base.
      batch_size: windows in a batch.
      batch_length: steps of a window.
      env: options of the suites; each is documented at `Options` in embodied/envs/<suite>.py.
    """

    base: str
    task: str
    label: str
    seed: Annotated[int, SEEDS]
    logdir: str
    init: str
    init_keys: str
    agent: Any
    balance: BalanceConfig
    batch_size: Annotated[int, ranges.COUNT, Note("windows", symbol="B")]
    batch_length: Annotated[int, ranges.COUNT, Note("agent steps", symbol="T")]
    jax: JaxConfig
    run: RunConfig
    env: Mapping[str, Any]

    def __post_init__(self) -> None:
        ranges.check_fields(self)
