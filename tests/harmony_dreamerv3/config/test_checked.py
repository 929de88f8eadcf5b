"""Settings that check themselves."""

import dataclasses
from typing import Annotated

import pytest

from embodied.core import ranges
from embodied.core.ranges import OutOfRange
from harmony_dreamerv3.config.checked import Checked, Keyed, one_of


@dataclasses.dataclass(frozen=True)
class Some(Checked):
    count: Annotated[int, ranges.COUNT]
    word: str = "plain"

    def __post_init__(self):
        super().__post_init__()
        one_of(self, "word", ("plain", "residual"))


def test_values_are_checked():
    assert Some(3).word == "plain"
    with pytest.raises(OutOfRange, match="count must be at least 1 and at most"):
        Some(0)
    with pytest.raises(OutOfRange, match="must be one of plain, residual"):
        Some(1, "plan")


def test_patterns_are_checked():
    assert Keyed(".*", "image").cnn_keys == "image"
    with pytest.raises(OutOfRange, match=r"mlp_keys must be a regular expression, got '\['"):
        Keyed("[", ".*")
