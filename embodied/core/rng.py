"""Random numbers as pure functions of a key, so that nothing random has to be remembered."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from embodied.core.errors import UserError
from embodied.core.ranges import Range

# The learner's generator takes 32 bits of a seed: those beyond would repeat the runs of others.
SEEDS = Range(0, 2**32 - 1)


def check_seeds(seeds: Sequence[int]) -> None:
    """Raises UserError unless there are seeds, all different and from 0 to 2^32 - 1."""
    wrong = [seed for seed in seeds if seed not in SEEDS]
    if wrong:
        raise UserError(f"seeds must be 0 or more and at most {SEEDS.high}, got {wrong[0]}")
    if not seeds or len(set(seeds)) != len(seeds):
        raise UserError(f"--seeds must be different, got {list(seeds)}")


def generator(purpose: str, seed: int, index: int) -> np.random.Generator:
    """Returns a counter-based generator that depends on its arguments alone.

    Args:
      purpose: what it is for, such as `train`; different purposes never share numbers.
      seed: the member's seed; 0 or more.
      index: number of the update, or agent step, that it serves.
    """
    counter = np.array([0, 0, 0, zlib.crc32(purpose.encode())], np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=(seed, index)))


def derive_seed(*parts: int) -> int:
    """Returns a seed in [0, 2^31) mixed from whole numbers of 0 or more: a seed, a step, a row."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0] >> 1)
