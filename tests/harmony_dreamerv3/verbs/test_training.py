"""Run folders against configurations."""

import dataclasses

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.verbs import training


def test_a_run_that_was_begun_before_there_were_bases_goes_on(tmp_path):
    config = configs.make(["debug"], {"logdir": str(tmp_path)})
    text = training.prepare_folder(tmp_path, config)
    assert "base: dreamerv3\n" in text
    (tmp_path / "config.yaml").write_text(text.replace("base: dreamerv3\n", ""))
    assert training.prepare_folder(tmp_path, config) == text
    assert training.read_config(tmp_path) == config
    with pytest.raises(UserError, match="seed: 0 there, 1 now"):
        training.prepare_folder(tmp_path, dataclasses.replace(config, seed=1))


def test_options_of_other_suites_do_not_matter(tmp_path):
    """So their defaults may change without breaking runs that never used them."""
    text = training.prepare_folder(tmp_path, configs.make(["debug"]))
    (tmp_path / "config.yaml").write_text(text)
    training.prepare_folder(tmp_path, configs.make(["debug"], {"env.dmc.size": 32}))
    with pytest.raises(UserError, match=r"env\.dummy\.size: 64 there, 32 now"):
        training.prepare_folder(tmp_path, configs.make(["debug"], {"env.dummy.size": 32}))


def test_a_run_of_another_base_is_refused_by_name(tmp_path):
    config = configs.make(["debug"])
    text = training.prepare_folder(tmp_path, config)
    (tmp_path / "config.yaml").write_text(text.replace("base: dreamerv3", "base: other"))
    with pytest.raises(UserError, match="of base other, this run's base is dreamerv3; give ano"):
        training.prepare_folder(tmp_path, config)
    with pytest.raises(UserError, match=r"config\.yaml: base: expected one of dreamerv3"):
        training.read_config(tmp_path)
