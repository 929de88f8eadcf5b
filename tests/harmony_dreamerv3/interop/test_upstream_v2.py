"""Configurations of the released codes."""

import json
from pathlib import Path

import numpy as np
import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.interop import upstream_v2

GOLDEN = Path(__file__).parents[2] / "golden"


def given(name: str) -> dict:
    with np.load(GOLDEN / f"{name}.npz") as archive:
        return json.loads(str(archive["meta"]))["config"]


def test_torch():
    config = configs.make((), upstream_v2.flags(given("v2/v2_rlbench_resnet_harmony"), "dreamerv2"))
    agent = config.agent
    assert agent.encoder.kind == "residual" and agent.encoder.mlp_layers == 4
    assert agent.predict_discount and agent.clip_rewards == "tanh"
    assert agent.loss_scales.kl == 0.1 and agent.model_opt.decay == "coupled"
    assert agent.entropy_in_critic_target and config.balance.method == "harmony"


def test_dreamerpro_counts_the_start_among_its_states():
    config = configs.make((), upstream_v2.flags(given("pro/pro_reward_1000"), "dreamerpro"))
    agent = config.agent
    assert agent.imag_horizon == 4 and agent.start_return and agent.observation == "prototypes"
    assert agent.loss_scales.reward == 1000.0 and agent.prototypes.sinkhorn_eps == 0.0125
    assert not agent.entropy_in_critic_target and agent.rssm.classes == 0


def test_gaussian_latents():
    config = {**given("v2/v2_metaworld_baseline"), "rssm.discrete": False}
    assert upstream_v2.flags(config, "dreamerv2")["rssm.classes"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rssm.unimix": 0.01}, "rssm.unimix: only 0.0 is implemented, got 0.01"),
        ({"critic.dist": "symlog_disc"}, "critic.dist: only 'mse'"),
        ({"encoder_type": "samepad_resnet"}, "encoder_type: expected one of plaincnn, resnet"),
        ({"decoder.mlp_layers": [400, 200]}, "decoder.mlp_layers: expected equal sizes"),
        ({"kl.free": None}, "lacks the key 'kl.free'"),
    ],
)
def test_what_is_not_implemented_is_named(changes, message):
    config = {**given("v2/v2_metaworld_baseline"), **changes}
    config = {k: v for k, v in config.items() if v is not None}
    with pytest.raises(UserError, match=message):
        upstream_v2.flags(config, "dreamerv2")
