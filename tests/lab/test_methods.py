"""Configurations of methods over that of the run."""

from harmony_dreamerv3.config import build, to_dict
from harmony_dreamerv3.config.overrides import flatten
from lab import methods


def test_methods_are_laid_over_the_run_without_its_own_balancing(make_buffer):
    base = make_buffer([9]).config
    flat = flatten(to_dict(base)) | {
        "balance.method": "dwa",
        "balance.options": {"window": 7},
        "balance.weights": {},
        "balance.dyn_regularizer": "released",
    }
    made = methods.make(build(flat), ["harmony", "dreamerv3"], {"model_opt.lr": "3e-3"})
    assert list(made) == ["harmony", "dreamerv3"]
    assert made["harmony"].balance.method == "harmony"
    assert made["dreamerv3"].balance.method == "fixed"
    for config in made.values():
        assert config.balance.options == {}
        assert config.balance.dyn_regularizer == "released"
        assert config.agent.model_opt.lr == 3e-3
        assert config.agent.rssm == base.agent.rssm


def test_the_default_methods_are_those_of_the_base(make_buffer):
    assert methods.defaults("dreamerv3") == ["dreamerv3", "harmony"]
    assert methods.defaults("dreamerv2") == ["dreamerv2", "harmony"]
    base = make_buffer([9], base="dreamerv3_2025").config
    made = methods.make(base, methods.defaults("dreamerv3_2025"), {})
    assert {k: (c.balance.method, c.balance.init) for k, c in made.items()} == {
        "dreamerv3_2025": ("fixed", "one"), "harmony_2025": ("harmony", "first_loss"),
    }  # fmt: skip
