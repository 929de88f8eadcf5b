"""A label is never the name of something else than what runs."""

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.balance import METHODS
from harmony_dreamerv3.config import labels, settings

METHOD_BLOCKS = (
    "dreamerv3", "harmony", "wr10", "wr100", "wd1", "unrectified", "uncertainty", "dwa", "nashmtl",
    "reciprocal",
)  # fmt: skip


def test_the_names_of_methods_are_those_of_the_library():
    assert tuple(METHODS) == settings.METHODS


@pytest.mark.parametrize("name", METHOD_BLOCKS)
def test_a_block_gives_its_name(name):
    assert configs.make(["atari100k", name]).label == name
    assert configs.make(["debug", name], {"label": name}).label == name


@pytest.mark.parametrize(("block", "suffix"), [("debug_v2", "_v2"), ("debug_2025", "_2025")])
@pytest.mark.parametrize("name", [*METHOD_BLOCKS[1:], "implicit"])
def test_every_method_has_its_name_on_every_base(block, suffix, name):
    label = configs.label_of([block], name, {})
    assert label == name + suffix * (name != "implicit")
    assert configs.make([block, name]).label == label
    assert configs.make([block, name], {"label": label}).label == label
    if name != "implicit":
        for wrong in (name, "harmony_v2" if name != "harmony" else "wr10_v2"):
            with pytest.raises(UserError, match="is the name of another method or block"):
                configs.make([block, name], {"label": wrong})


def test_a_baseline_belongs_to_its_base():
    with pytest.raises(UserError, match="is of base dreamerv2, this run's base is dreamerv3"):
        configs.make(["debug_v2", "dreamerv3"])
    assert configs.make(["debug_v2", "dreamerv2"]).label == "dreamerv2"


@pytest.mark.parametrize(
    ("flags", "label"),
    [
        ({}, "dreamerv3"),
        ({"harmony": True}, "harmony"),
        ({"balance.method": "dwa"}, "dwa"),
        ({"balance.weights.reward": 10}, "fixed-reward10"),
        ({"harmony": True, "balance.weights.dynamics": 1}, "harmony-dynamics1"),
        ({"balance.method": "my_pkg.my_mod:root"}, "my_pkg.my_mod.root"),
    ],
)
def test_a_run_without_a_label_is_called_by_what_runs(flags, label):
    config = configs.make((), flags)
    assert config.label == "" and labels.derive(config) == label


def test_the_label_of_a_block_that_is_overridden_goes():
    for names, flags in (
        (["harmony"], {"balance.method": "dwa"}),
        (["wr10"], {"balance.weights.reward": 3}),
        (["harmony"], {"balance.weights.dynamics": 1.0}),
        (["dreamerv3"], {"harmony": True}),
    ):
        assert configs.make(names, flags).label == ""
    # Options do not make another method of it.
    assert configs.make(["dwa"], {"balance.options.window": 5}).label == "dwa"


@pytest.mark.parametrize(
    ("names", "flags"),
    [
        ([], {"method": "harmony"}),
        ([], {"label": "harmony"}),
        (["harmony"], {"label": "dreamerv3"}),
        (["wr10"], {"label": "dreamerv3"}),
        (["harmony"], {"label": "wd1"}),
        (["wd1"], {"label": "harmony"}),
        ([], {"label": "harmony_unrectified"}),
        (["harmony"], {"label": "harmony", "balance.method": "dwa"}),
    ],
)
def test_a_label_that_names_something_else_is_refused(names, flags):
    with pytest.raises(UserError, match="is the name of another method or block than what runs"):
        configs.make(names, flags)


def test_other_labels_are_free():
    assert configs.make(["harmony"], {"label": "my experiment"}).label == "my experiment"
    assert configs.make((), {"label": "fixed"}).label == "fixed"  # It is.
    # A block that says nothing about the method fits all of them, as in a sweep over sizes.
    assert configs.make(["small", "harmony"], {"label": "small"}).label == "small"
    assert configs.make(["catch"], {"label": "catch"}).label == "catch"
    with pytest.raises(UserError, match="'catch' is the name"):
        configs.make(["catch"], {"label": "catch", "harmony": False})
