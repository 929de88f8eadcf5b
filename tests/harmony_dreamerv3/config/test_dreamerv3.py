"""Ranges of the settings of the base of 2023; messages are in test_main."""

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.config.dreamerv3 import ActorConfig, CoderConfig, HeadConfig, RSSMConfig


@pytest.mark.parametrize(
    "flags",
    [
        {"rssm.unimix": 0, "free_nats": 0, "actent": 0, "model_opt.lr": 0, "retnorm.decay": 1},
        {"actor.layers": 0, "reward_head.layers": 0, "imag_horizon": 1, "horizon": 1.01},
        {"critic_opt.clip": "inf", "grad_heads": [], "batch_size": 1, "run.train_ratio": 0},
        {"seed": 2**32 - 1, "actor.minstd": 0.5, "actor.maxstd": 0.5},
        {"jax.coordinator": "auto", "jax.processes": 2, "jax.process": 1},
    ],
)
def test_ends_of_ranges_are_taken(flags):
    configs.make(["debug"], flags)


def test_features_are_both_states():
    assert RSSMConfig(deter=5, units=1, stoch=3, classes=4, unimix=0.0).features == 5 + 12


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HeadConfig(1, 0, 1.0), "units must be at least 1"),
        (lambda: ActorConfig(1, 1, 1.0, 0.0, 0.5, 0.4), r"maxstd must be at least 0\.5, got 0\.4"),
        (lambda: CoderConfig("(", "x", 1, 1, 1, 1), "mlp_keys must be a regular expression"),
        (lambda: RSSMConfig(1, 1, 1, 1, 1.0), "unimix must be at least 0 and below 1, got 1"),
    ],
)
def test_values_outside(make, message):
    with pytest.raises(UserError, match=message):
        make()
