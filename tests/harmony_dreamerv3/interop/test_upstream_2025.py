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


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("agent.policy.act", "relu", "agent.policy.act: only 'silu'"),
        (r".*\.norm", "layer", "norm: only 'rms'"),
        ("agent.rewhead.output", "symlog_disc", "only 'symexp_twohot'"),
        ("agent.enc.simple.mults", [1, 2, 4, 8], "only"),
        ("agent.repval_loss", False, "only True"),
    ],
)
def test_values_that_would_change_numbers_are_refused(key, value, message) -> None:
    with pytest.raises(UserError, match=message):
        upstream_2025.translate([], {key: value})


def test_what_is_the_default_or_changes_no_number_is_accepted() -> None:
    same = {
        r".*\.act$": "silu", "agent.enc.simple.mults": [2, 3, 4, 4], "agent.value.winit": "normal",
        "agent.policy.unimix": 0.05, "agent.opt.momentum": False, "run.envs": 3, "ipv6": True,
    }  # fmt: skip
    assert upstream_2025.translate([], same) == upstream_2025.translate([], {})
