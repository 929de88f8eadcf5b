"""What the verb `analyze` is asked to do."""

from __future__ import annotations

import dataclasses

from embodied.core.errors import UserError
from embodied.core.rng import check_seeds


@dataclasses.dataclass(frozen=True)
class Options:
    """What to do; all counts are at least 1.

    Args:
      seeds: one world model for each, of every method.
      updates: of each world model.
      log_every: updates between records.
      holdout: share of the buffer's steps, in (0, 1).
      observed: steps that a model sees before it predicts.
      predicted: steps that it then predicts from actions alone.
      windows: at most so many of each part are predicted.
      tolerance: see `rewards.scale`.
      state: keys to regress; none for those that no model sees.
      regression_updates: of each regression.
      strip: steps observed and predicted in the strip, and from one frame to the next.
    """

    seeds: tuple[int, ...]
    updates: int
    log_every: int
    holdout: float
    observed: int
    predicted: int
    windows: int
    tolerance: float | None
    state: tuple[str, ...]
    regression_updates: int
    strip: tuple[int, int, int]

    def __post_init__(self) -> None:
        counts = {
            name: getattr(self, name)
            for name in (
                "updates", "log_every", "observed", "predicted", "windows", "regression_updates",
            )
        }  # fmt: skip
        named = [*counts.items(), *(("strip", count) for count in self.strip)]
        for name, count in named:
            if count < 1:
                raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {count}")
        check_seeds(self.seeds)
