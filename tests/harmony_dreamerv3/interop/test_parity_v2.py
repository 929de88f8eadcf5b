"""The numbers of HarmonyDream's torch code and of DreamerPro."""

from pathlib import Path

import numpy as np
import pytest

from harmony_dreamerv3.interop import parity

GOLDEN = Path(__file__).parents[2] / "golden"
BUNDLES = sorted([*(GOLDEN / "v2").glob("*.npz"), *(GOLDEN / "pro").glob("*.npz")])


def test_there_are_nine_bundles():
    assert len(BUNDLES) == 9


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_golden(path):
    rows = parity.check(path)
    assert [row.name for row in rows if not row.ok] == []
    assert len(rows) > 200
    # The tolerance is 1e-4; float32 alone gives a tenth of it.
    assert max(row.max_rel for row in rows if not row.name.startswith("grads/")) < 5e-5


def test_a_wrong_number_is_seen(tmp_path):
    with np.load(GOLDEN / "v2/v2_metaworld_baseline.npz") as archive:
        arrays = dict(archive)
    wrong = (
        "expect/after2/wm.rssm.img_in.bias",
        "expect/imag/target_critic",
        "expect/update2/actor_loss",
    )
    for name in wrong:
        arrays[name] = arrays[name] * np.float32(1.001)
    path = tmp_path / "bundle.npz"
    np.savez(path, **arrays)
    failed = [row.name for row in parity.check(path) if not row.ok]
    assert sorted(failed) == sorted(name.removeprefix("expect/") for name in wrong)
