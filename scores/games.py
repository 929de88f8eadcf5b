"""The 26 games of Atari 100K: human and random scores, published columns."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from embodied.core.errors import UserError
from scores.names import data, normalise


@dataclasses.dataclass(frozen=True)
class Published:
    """One published column."""

    title: str  # the column's heading in print
    protocol: str  # how its authors scored ('as published' where they do not say)
    # human-normalised 'mean' and 'median' as a paper prints them, 1.0 = human.
    printed: Mapping[str, float]
    scores: Mapping[str, float]  # score of each game, by canonical game name
    source: str = ""  # where the numbers are from; empty for those of the paper's Table 2


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


def normalised(
    games: Sequence[str], scores: np.ndarray, known: Mapping[str, tuple[float, float]] | None = None
) -> np.ndarray:
    """Normalises scores: (score - random) / (reference - random).

    Args:
      games: T canonical names; those without reference give NaN.
      scores: `[..., T]` raw scores.
      known: random and reference score of each game; without it those of random play and humans.

    Returns:
      `[..., T]` float64, 0 = random, 1 = reference.
    """
    pairs = [known[game] if known else references(game) for game in games]
    random, reference = np.array(pairs, np.float64).reshape(-1, 2).T
    return (np.asarray(scores, np.float64) - random) / (reference - random)


def read_references(path: Path) -> Mapping[str, tuple[float, float]]:
    """Reads scores that a game's are normalised by: JSON of `{game: [random, reference]}`.

    Raises:
      UserError: the file cannot be read, or a pair is not two different finite numbers.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot read references: {error}") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: expected JSON of {{game: [random, reference]}}")
    for game, pair in content.items():
        numbers = isinstance(pair, list) and all(type(value) in (int, float) for value in pair)
        if not (numbers and len(pair) == 2 and np.isfinite(pair).all() and pair[0] != pair[1]):
            raise UserError(
                f"{path}: {game}: expected [random, reference], two different numbers, got {pair!r}"
            )
    return {normalise(game): (float(low), float(high)) for game, (low, high) in content.items()}
