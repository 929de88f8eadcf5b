"""Upstream's 2025 configuration in terms of ours."""

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.interop import upstream_2025


@pytest.mark.parametrize("block", upstream_2025.BLOCKS)
def test_every_block_gives_keys_that_exist(block: str) -> None:
    ours = upstream_2025.translate(["defaults", block], {})
    known = configs.defaults(configs.blocks(), "dreamerv3_2025")
    assert set(ours) <= set(known)


def test_sizes_and_later_overrides() -> None:
    ours = upstream_2025.translate(["defaults", "size12m"], {r".*\.rssm": {"deter": 64}})
    assert (ours["rssm.deter"], ours["rssm.hidden"], ours["rssm.classes"]) == (64, 256, 16)
    assert ours["encoder.depth"] == 16 and ours["actor.units"] == 256
    assert ours["loss_scales.image"] == ours["loss_scales.vector"] == 1.0


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="size13m"):
        upstream_2025.translate(["size13m"], {})
    with pytest.raises(UserError, match=r"no config key 'agent.opt.lrr'.*agent.opt.lr"):
        upstream_2025.translate([], {"agent.opt.lrr": 1.0})
