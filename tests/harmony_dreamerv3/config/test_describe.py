"""What keys mean, and the page of all of them."""

from pathlib import Path

import pytest

from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.config import bases, describe, overrides

PAGE = Path(__file__).parents[3] / "docs" / "config.md"


def flat(*names, **flags):
    return overrides.flatten(configs.to_dict(configs.make(names, flags)))


def test_the_page_is_current():
    assert PAGE.read_text("utf-8") == describe.page(), (
        "run: python -m harmony_dreamerv3 config --markdown > docs/config.md"
    )


@pytest.mark.parametrize("base", bases.MODULES)
def test_every_key_has_a_meaning_and_a_value(base):
    keys = describe.keys(base)
    values = flat(base=base)
    assert [key.name for key in keys] == list(values)
    assert not [key.name for key in keys if not key.meaning]


def test_meaning_unit_range_and_symbol():
    by_name = {key.name: key for key in describe.keys("dreamerv3")}
    assert by_name["batch_length"].notes == "agent steps; at least 1; T in the paper"
    assert by_name["run.steps"].notes == "at least 1"  # Its meaning says the unit.
    assert by_name["encoder.minres"].range == by_name["rssm.deter"].range == "at least 1"
    text = by_name["run.eval_processes"]
    assert text.range == "at least -1 and at most 1024" and "\n" not in text.meaning
    assert by_name["env.gym.repeat"].meaning.startswith("environment steps for which an action")


def test_text_and_paper():
    shown = describe.text("dreamerv3", flat("atari100k")).splitlines()
    assert shown[shown.index("rssm.deter: 512") + 1] == (
        "    size of the deterministic state (at least 1; h_t in the paper)"
    )
    assert "grad_heads: decoder reward cont" in shown
    paper = describe.text("dreamerv3", flat(), paper=True)
    assert "return_lambda: 0.95" in paper and "rssm.units" not in paper


def test_difference():
    first, second = flat("small"), flat("tiny")
    shown = describe.difference(("small", "tiny"), first, second).splitlines()
    assert shown[0] == "rssm.deter: 512 in small, 128 in tiny"
    assert not [line for line in shown if "batch_size" in line]
    assert describe.difference(("a", "b"), first, first) == "no key differs"
