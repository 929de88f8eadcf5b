"""Blocks from files of one's own."""

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.config import folder

MINE = """\
wide:
  base: dreamerv3
  rssm: {deter: 24}
  .*\\.layers: 3
quick: {run: {steps: 99}, harmony: True}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(MINE)
    (tmp_path / "one.yaml").write_text("rssm: {units: 20}\nrun.steps: 77\nharmony: True\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_adds_blocks(here):
    config = configs.make(["debug", "mine.yaml", "wide", "quick"])
    assert (config.agent.rssm.deter, config.agent.rssm.units) == (24, 16)
    assert config.agent.actor.layers == 3 and config.run.steps == 99
    assert configs.make(["wide", "mine.yaml"]).agent.rssm.deter == 24  # In any order.
    plain = configs.make(["debug", "mine.yaml"])
    assert plain == configs.make(["debug"])


def test_a_file_is_a_block(here):
    config = configs.make(["debug", "./one.yaml"])
    assert (config.agent.rssm.deter, config.agent.rssm.units) == (16, 20)
    assert config.run.steps == 77 and config.balance.method == "harmony"
    assert configs.make(["one.yaml", "debug"]).agent.rssm.units == 16  # The order counts.


def test_the_folder_of_a_run_is_a_block(here):
    run = here / "runs" / "x"
    run.mkdir(parents=True)
    before = configs.make(["debug", "wr10"], {"seed": 5, "logdir": "there"})
    (run / "config.yaml").write_text(folder.prepare(run, before))
    for name in ("runs/x", "runs/x/config.yaml"):
        after = configs.make([name], {"batch_size": 3})
        assert (after.batch_size, after.seed, after.label, after.logdir) == (3, 5, "", "")
        assert after.agent == before.agent and after.balance == before.balance


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        (None, ["it.yaml"], "cannot read it.yaml"),
        ("[1]", ["it.yaml"], "expected a mapping in it.yaml"),
        ("rssm: {detre: 3}", ["it.yaml"], "file it.yaml: unknown key 'rssm.detre'; did you mean"),
        ("small: {seed: 3}", ["it.yaml"], "it.yaml: there is a block 'small' already; rename"),
        (
            "mine: {seed: 3}",
            ["it.yaml", "mien"],
            "unknown config block 'mien'; did you mean 'mine'",
        ),
        ("base: other", ["it.yaml"], "base: expected one of dreamerv3"),
        ("a: &a {b: 1}\nc: {<<: *a}", ["it.yaml"], "it.yaml"),
    ],
)
def test_mistakes(here, text, names, message):
    if text:
        (here / "it.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        configs.make(names)
