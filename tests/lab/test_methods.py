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
