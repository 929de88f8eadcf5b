"""Configurations of the released code in terms of ours."""

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.interop import upstream


def test_every_default_and_block_can_be_built():
    for name in upstream.tables()["blocks"]:
        config = configs.make((), upstream.translate(["defaults", name], {}))
        assert config.balance.dyn_regularizer == "released" and not config.balance.vectors


def test_sizes_of_the_benchmark():
    config = configs.make((), upstream.translate(["defaults", "atari100k"], {"harmony": True}))
    assert (config.agent.rssm.deter, config.agent.rssm.units) == (512, 512)
    assert (config.agent.encoder.cnn_depth, config.agent.decoder.cnn_depth) == (32, 32)
    assert (config.agent.actor.layers, config.agent.critic.units) == (2, 512)
    assert config.balance.method == "harmony"
    assert (config.agent.encoder.mlp_keys, config.agent.encoder.cnn_keys) == ("$^", "image")


def test_vector_networks_keep_their_default_size_in_blocks_of_sizes():
    """`.*\\.units` names no `mlp_units` there, so that these stay large."""
    config = configs.make((), upstream.translate(["dmc_proprio"], {}))
    assert (config.agent.encoder.mlp_layers, config.agent.encoder.mlp_units) == (5, 1024)
    config = configs.make((), upstream.translate(["dmc_proprio"], {r".*\.mlp_units": 16}))
    assert (config.agent.encoder.mlp_units, config.agent.decoder.mlp_units) == (16, 16)
    config = configs.make((), upstream.translate(["metaworld"], {}))
    assert config.agent.grad_heads == ("decoder", "reward") and config.batch_size == 50


def test_later_overrides_win_and_patterns_match_from_the_start():
    flags = {r".*\.layers": 3, "actor.layers": 4, "critic": None}
    del flags["critic"]
    config = configs.make((), upstream.translate([], flags))
    assert (config.agent.critic.layers, config.agent.actor.layers) == (3, 4)
    config = configs.make((), upstream.translate([], {"actor.layers": 4, r".*\.layers": 3}))
    assert config.agent.actor.layers == 3
    with pytest.raises(UserError, match="matches no config key"):
        upstream.translate([], {r"\.layers$": 3})


def test_the_largest_factor_there_is_the_smallest_divisor_here():
    """There returns are divided by max(1 / retnorm.max, high - low)."""
    config = configs.make((), upstream.translate([], {"retnorm.max": 4.0}))
    assert config.agent.retnorm.max == 0.25
    assert configs.make((), upstream.translate([], {})).agent.retnorm.max == 1.0
    with pytest.raises(UserError, match=r"retnorm.max: expected a number above 0, got 0.0"):
        upstream.translate([], {"retnorm.max": 0.0})


@pytest.mark.parametrize(
    "overrides",
    [
        {"rssm.unroll": True, "imag_unroll": True, "jax.jit": False, "run.steps": 1e4},
        {"encoder.cnn": "resnet", "actor.minstd": 0.1, "decoder.winit": "normal"},
        {"envs.amount": 8, "env.atari.repeat": 4, "expl_opt.lr": 1e-3, "seed": 3},
        {r".*unroll": True, r".*\.wd$": 0.0, r".*\.winit": "normal", "wrapper.checks": True},
        {"rssm.action_clip": 1, "encoder.cnn_blocks": "0", "slow_critic_update": 1.0},
    ],
)
def test_what_makes_no_difference_is_accepted(overrides):
    assert upstream.translate(["defaults"], overrides) == upstream.translate(["defaults"], {})


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"encoder.cnn_blocks": 2}, "encoder.cnn_blocks: only 0 is implemented here, got 2"),
        ({"rssm.action_clip": 0.0}, "rssm.action_clip"),
        ({"rssm.initial": "zeros"}, "rssm.initial: only 'learned'"),
        ({r".*\.act": "relu"}, "act: only 'silu'"),
        ({r".*\.wd$": 0.1}, "wd: only 0.0"),
        ({"actor.inputs": ["deter"]}, "actor.inputs"),
        ({"dyn_loss.free": 0.5}, "must agree"),
        ({"expl_behavior": "Explore"}, "expl_behavior"),
        ({"slow_critic_update": 2}, "slow_critic_update"),
        ({"model_opt.learning_rate": 1}, "no config key"),
        ({"imag_horizn": 3}, "did you mean 'imag_horizon'"),
        ({"encoder.symlog_inputs": 3}, "expected bool"),
    ],
)
def test_what_makes_a_difference_is_refused_by_name(overrides, message):
    with pytest.raises(UserError, match=message):
        upstream.translate(["defaults"], overrides)


def test_free_nats_clip_and_scales():
    ours = upstream.translate([], {"dyn_loss.free": 0.5, "rep_loss.free": 0.5, "actor_opt.clip": 0})
    config = configs.make((), ours)
    assert config.agent.free_nats == 0.5 and config.agent.actor_opt.clip == float("inf")
    scales = {"loss_scales.image": 3.0, "loss_scales.dyn": 0.3}
    assert configs.make((), upstream.translate([], scales)).agent.loss_scales.image == 3.0
    config = configs.make((), upstream.translate([], {**scales, "harmony": True}))
    assert (config.agent.loss_scales.image, config.agent.loss_scales.dyn) == (1.0, 0.3)
