"""What files of scores do not say by themselves, and the command line may tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from scores import games
from scores.read import BadFile

STEPS = (
    "frames or agent steps? Say --frames-per-step 1 if they are frames, 4 if they are agent steps "
    "of Atari"
)
LISTS = (
    "episodes of one evaluation, or a curve over training? Say --lists episodes for their mean, "
    "--lists curve for the last one"
)


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a file does not say by itself.

    Attributes:
      frames_per_step: frames of one step where a file counts steps; None: not known.
      lists: 'episodes' or 'curve', what a list of numbers for each seed is; None: not known.
    """

    frames_per_step: float | None = None
    lists: str | None = None

    def factor(self, unit: str, game: str, where: str, report: Callable[[str], object]) -> float:
        """Returns the frames of one step.

        Args:
          unit: 'frames', 'agent_steps', or 'steps' for either.
          game: canonical name. Where no benchmark sets a budget in frames, steps may stay steps.
          where: the column or key, for the message.
          report: told when steps are taken for frames though they may be others.

        Raises:
          BadFile: the score depends on it and nothing tells.
        """
        if unit == "frames":
            return 1.0
        if self.frames_per_step:
            return self.frames_per_step
        if unit == "agent_steps" and (game in games.atari100k() or game.startswith("atari_")):
            return 4.0
        if game in games.atari100k():
            raise BadFile(f"{where}: {STEPS}")
        report(f"{where}: taken for frames; --frames-per-step N if one is N frames")
        return 1.0


NOTHING = Reading()
