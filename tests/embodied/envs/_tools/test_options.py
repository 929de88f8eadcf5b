"""Words of options."""

import pytest

from embodied.core.errors import UserError
from embodied.envs._tools.options import one_of


def test_one_of():
    one_of("env.x.y", "train", ("train", "test"))
    with pytest.raises(
        UserError, match=r"env.x.y must be one of train, test, got 'tset'; did.*test"
    ):
        one_of("env.x.y", "tset", ("train", "test"))
