"""Names of elsewhere: no answer for what is right already, or for nothing that is known."""

import pytest

import embodied.envs
from embodied.envs._tools import elsewhere


@pytest.mark.parametrize("suite", ["atari", "catch", "crafter", "dummy", "minatar", "distract"])
def test_our_own_names_get_no_hint(suite):
    for task in embodied.envs.tasks(suite):
        assert elsewhere.hint(task) == "", task


@pytest.mark.parametrize("task", ["nonsense", "walkerwalk", "", "gym_Unknown-v0"])
def test_what_nobody_knows(task):
    assert elsewhere.translate(task) is None and elsewhere.hint(task) == ""
