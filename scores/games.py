"""The 26 games of Atari 100K: human and random scores, published columns."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from scores.names import data


@dataclasses.dataclass(frozen=True)
class Published:
    """One published column.

    Attributes:
      title: the column's heading in print.
      protocol: how its authors scored ('as published' where they do not say).
      printed: human-normalised 'mean' and 'median' as a paper prints them, 1.0 = human.
      scores: score of each game, by canonical game name.
      source: where the numbers are from; empty for those of the paper's Table 2.
    """

    title: str
    protocol: str
    printed: Mapping[str, float]
    scores: Mapping[str, float]
    source: str = ""


@functools.cache
def published() -> Mapping[str, Published]:
    """Returns published columns by short name: of Table 2 ('harmony', ...), then later ones."""
    columns = data("atari100k")["columns"] | data("released")
    return {name: Published(**column) for name, column in columns.items()}


def source() -> str:
    """Returns where the numbers of Table 2 come from."""
    return data("atari100k")["source"]


def budget() -> int:
    """Returns the frames of Atari 100K: 100K agent steps of 4 frames."""
    return data("atari100k")["frames"]


def atari100k() -> Sequence[str]:
    """Returns the canonical names of the 26 games, in the paper's order."""
    return list(data("atari100k")["games"])


def title(game: str) -> str:
    """Returns a game's name in print ('james bond' -> 'James Bond'); others unchanged."""
    return data("atari100k")["games"].get(game, game)


def references(game: str) -> tuple[float, float]:
    """Returns the random and the human score of a game, rounded as in Table 2; NaN without any."""
    who = published()
    random, human = (float(who[name].scores.get(game, np.nan)) for name in ("random", "human"))
    return random, human


def span(game: str) -> float:
    """Returns human - random of a game, NaN where it has none."""
    random, human = references(game)
    return human - random


def normalised(games: Sequence[str], scores: np.ndarray) -> np.ndarray:
    """Human-normalises scores: (score - random) / (human - random).

    Args:
      games: T canonical names; those without human score give NaN.
      scores: `[..., T]` raw scores.

    Returns:
      `[..., T]` float64, 0 = random, 1 = human.
    """
    random, human = np.array([references(game) for game in games], np.float64).reshape(-1, 2).T
    return (np.asarray(scores, np.float64) - random) / (human - random)
