"""Blocks and ranges of the DreamerV2 base."""

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.config.dreamerv2 import check_observation

# Table A5 of the paper's domains: batch, lengths, learning rates, entropy, free nats, prefill,
# pretrain, discount head, end bias.
WORDS = {
    "metaworld_v2": (50, 50, 3e-4, 8e-5, 8e-5, 1e-4, 0.0, 5000, 100, False, True),
    "dmcr": (16, 50, 3e-4, 8e-5, 8e-5, 1e-4, 1.0, 1000, 100, False, False),
    "natural": (16, 50, 3e-4, 8e-5, 8e-5, 1e-4, 1.0, 1000, 100, False, False),
    "dmc_vision_v2": (16, 50, 3e-4, 8e-5, 8e-5, 1e-4, 1.0, 1000, 100, False, False),
    "rlbench": (50, 50, 1e-4, 8e-5, 2e-4, 2e-3, 1.0, 10000, 1, True, True),
    "rlbench_paper": (50, 50, 3e-4, 8e-5, 8e-5, 1e-4, 1.0, 5000, 100, True, True),
    "dreamerpro": (50, 51, 3e-4, 8e-5, 8e-5, 1e-4, 1.0, 2500, 100, False, False),
    "dreamerpro_natural": (50, 51, 3e-4, 8e-5, 8e-5, 1e-4, 1.0, 2500, 100, False, False),
}


@pytest.mark.parametrize("word", WORDS)
def test_words(word):
    c = configs.make((word,))
    a, run = c.agent, c.run
    assert c.base == "dreamerv2"
    assert (
        c.batch_size, c.batch_length, a.model_opt.lr, a.actor_opt.lr, a.critic_opt.lr, a.actent,
        a.free_nats, run.train_fill, run.pretrain, a.predict_discount, run.replay_ends,
    ) == WORDS[word]  # fmt: skip
    assert run.replay_episodes and run.train_ratio == c.batch_size * c.batch_length / 5
    assert not a.entropy_in_critic_target


def test_dreamerpro():
    for word, norm, reward in (("dreamerpro", 0.0, 1.0), ("dreamerpro_natural", 1.0, 1000.0)):
        a = configs.make((word, "harmony")).agent
        assert a.observation == "prototypes" and a.rssm.classes == 0
        assert (a.prototypes.sinkhorn_eps, a.prototypes.freeze) == (0.0125, 10_000)
        assert (a.loss_scales.norm, a.loss_scales.reward) == (norm, reward)
        assert {a.model_opt.decay, a.actor_opt.decay, a.critic_opt.decay} == {"decoupled"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"kl_balance": 1.5}, "kl_balance must be at least 0 and at most 1, got 1.5"),
        ({"kl_balance": -0.1}, "kl_balance"),
        ({"observation": "decoders"}, "observation must be one of decoder, prototypes.*'decoder'"),
        ({"encoder.kernels": "4,x"}, "encoder.kernels"),
        ({"encoder.kernels": "1"}, "encoder.kernels must be whole numbers from 2"),
        ({"encoder.kind": "resnet"}, "encoder.kind must be one of plain, residual"),
        ({"encoder.cnn_keys": "("}, "encoder.cnn_keys must be a regular expression"),
        ({"rssm.gru_init": "torch"}, "rssm.gru_init"),
        ({"actor.dist": "normal"}, "actor.dist"),
        ({"model_opt.decay": "l2"}, "model_opt.decay"),
        ({"model_opt.wd": -1}, "model_opt.wd"),
        ({"imag_horizon": 1}, "imag_horizon must be at least 2"),
        ({"clip_rewards": "sign"}, "clip_rewards"),
        ({"prototypes.temperature": 0}, "prototypes.temperature"),
        ({"loss_scales.kl": -1}, "loss_scales.kl"),
        ({"unimix": 0.01}, "unknown key 'unimix'"),
        ({"retnorm.decay": 0.9}, "'retnorm.decay' is a key of base dreamerv3"),
    ],
)
def test_wrong_settings_are_named(flags, message):
    with pytest.raises(UserError, match=message):
        configs.make((), {"base": "dreamerv2", **flags})


def test_one_imagined_step_is_enough_where_the_first_return_counts():
    flags = {"base": "dreamerv2", "imag_horizon": 1, "start_return": True}
    assert configs.make((), flags).agent.imag_horizon == 1


def test_kernels_are_numbers():
    config = configs.make((), {"base": "dreamerv2", "encoder.kernels": "4,4,4"})
    assert config.agent.encoder.kernels == (4, 4, 4)


def test_prototypes_need_images_and_no_decoder():
    plain = configs.make((), {"base": "dreamerv2"}).agent
    check_observation(plain, False, True)
    pro = configs.make(("dreamerpro",)).agent
    check_observation(pro, True, False)
    with pytest.raises(UserError, match="prototypes compares shifted views of images"):
        check_observation(pro, False, False)
    with pytest.raises(UserError, match=r"prototypes has no decoder.*decoder.cnn_keys"):
        check_observation(pro, True, True)


def test_features():
    assert configs.make(("dreamerpro",)).agent.rssm.features == 232
    assert configs.make(("dmcr",)).agent.rssm.features == 1024 + 32 * 32
