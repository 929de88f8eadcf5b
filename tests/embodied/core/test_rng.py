"""Draws are functions of their keys."""

import numpy as np
import pytest

from embodied.core.errors import UserError
from embodied.core.rng import check_seeds, derive_seed, generator


def draw(*key: object) -> list[int]:
    return generator(*key).integers(0, 2**62, 3).tolist()  # type: ignore[arg-type]


def test_the_same_key_gives_the_same_draws_and_every_part_counts() -> None:
    keys = [(p, s, i) for p in ("train", "eval") for s in (0, 1, 2**32 - 1) for i in (0, 1, 2**31)]
    assert draw("train", 3, 4) == draw("train", 3, 4)
    assert len({tuple(draw(*key)) for key in keys}) == len(keys)


def test_draws_are_those_of_earlier_versions() -> None:
    """Runs of earlier versions go on: these numbers may never change."""
    assert generator("train", 1, 2).integers(0, 1000, 4).tolist() == [799, 40, 386, 880]
    assert derive_seed(1, 2, 3) == 1911094848


def test_derived_seeds_are_small_and_different() -> None:
    seeds = [derive_seed(a, b) for a in range(30) for b in range(30)]
    assert len(set(seeds)) == 900 and all(0 <= seed < 2**31 for seed in seeds)
    assert np.std(seeds) > 2**28


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], [2**32], [True]])
def test_seeds_that_are_refused(seeds: list) -> None:
    with pytest.raises(UserError, match="seeds must be"):
        check_seeds(seeds)
