"""What `analyze` can be asked to do."""

import pytest

from embodied.core.errors import UserError
from lab.options import Options

GOOD = {
    "seeds": (0,), "updates": 1, "log_every": 1, "holdout": 0.1, "observed": 1, "predicted": 1,
    "windows": 1, "tolerance": None, "state": (), "regression_updates": 1, "strip": (1, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"updates": 0}, "--updates must be at least 1, got 0"),
        ({"regression_updates": -2}, "--regression-updates must be at least 1, got -2"),
        ({"strip": (1, 0, 1)}, "--strip must be at least 1, got 0"),
        ({"seeds": (1, 1)}, "different"),
    ],
)
def test_counts_and_seeds(change, message):
    Options(**GOOD)
    with pytest.raises(UserError, match=message):
        Options(**{**GOOD, **change})
