"""One short run for all tests of what is taken from runs."""

import numpy as np
import pytest
import tiny

from harmony_dreamerv3.main import main


@pytest.fixture(scope="package")
def exported(tmp_path_factory):
    """A short run, and its parameters under the released code's names."""
    base = tmp_path_factory.mktemp("run")
    assert main(["train", "--logdir", str(base / "run"), *tiny.WORDS]) == 0
    assert main(["export", str(base / "run"), str(base / "out.npz")]) == 0
    with np.load(base / "out.npz") as archive:
        return base, dict(archive)
