"""The 26 games of Atari 100K: names, human and random scores, published columns."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources

import numpy as np

from scores.records import printable


@dataclasses.dataclass(frozen=True)
class Published:
    """One column of the paper's Table 2.

    Attributes:
      title: the column's heading in print.
      protocol: how its authors scored ('as published' where the paper does not say).
      printed: human-normalised 'mean' and 'median' as the paper prints them, 1.0 = human.
      scores: score of each game, by canonical game name.
    """

    title: str
    protocol: str
    printed: Mapping[str, float]
    scores: Mapping[str, float]


@functools.cache
def _data() -> dict:
    return json.loads((resources.files(__package__) / "data" / "atari100k.json").read_text())


@functools.cache
def published() -> Mapping[str, Published]:
    """Returns the columns of Table 2 by their short name ('harmony', 'iris', 'human', ...)."""
    return {name: Published(**column) for name, column in _data()["columns"].items()}


def source() -> str:
    """Returns where the published numbers come from."""
    return _data()["source"]


def budget() -> int:
    """Returns the frames of Atari 100K: 100K agent steps of 4 frames."""
    return _data()["frames"]


def atari100k() -> Sequence[str]:
    """Returns the canonical names of the 26 games, in the paper's order."""
    return list(_data()["games"])


def title(game: str) -> str:
    """Returns a game's name in print ('james bond' -> 'James Bond'); others unchanged."""
    return _data()["games"].get(game, game)


@functools.cache
def _canonical() -> dict[str, str]:
    return {name.replace("_", ""): name for name in atari100k()}


@functools.lru_cache(maxsize=4096)
def normalise(name: str) -> str:
    """Returns one name for all spellings of a task.

    `jamesbond`, `james_bond`, `James Bond`, `atari_jamesbond`, `ALE/Jamesbond-v5` and
    `JamesbondNoFrameskip-v4` are all `jamesbond`. A name that is none of the 26 games is kept,
    but for an Atari game outside of them, which becomes `atari_<name>`.

    Args:
      name: task or game as some file spells it.
    """
    bare, atari = re.subn(r"^(gym_)?(ALE/|atari[_/])", "", name.strip(), flags=re.IGNORECASE)
    bare = re.sub(r"(NoFrameskip|Deterministic)?(-v\d+)?$", "", bare)
    letters = re.sub(r"[\W_]", "", bare).lower()
    if letters == "choppercom":  # Table 2 shortens it.
        letters = "choppercommand"
    known = _canonical().get(letters)
    return known or (f"atari_{letters}" if atari else printable(name.strip()))


def normalised(games: Sequence[str], scores: np.ndarray) -> np.ndarray:
    """Human-normalises scores: (score - random) / (human - random).

    Args:
      games: T canonical names; those without human score give NaN.
      scores: `[..., T]` raw scores.

    Returns:
      `[..., T]` float64, 0 = random, 1 = human. The references are the rounded ones of Table 2.
    """
    random, human = (
        np.array([published()[who].scores.get(game, np.nan) for game in games])
        for who in ("random", "human")
    )
    return (np.asarray(scores, np.float64) - random) / (human - random)
