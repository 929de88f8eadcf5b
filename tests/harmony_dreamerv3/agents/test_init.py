"""Bases by name."""

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3.agents import agent_class
from harmony_dreamerv3.config import bases


@pytest.mark.parametrize("base", bases.MODULES)
def test_every_base_has_an_agent(base):
    assert callable(agent_class(base).train_step)


def test_a_base_that_does_not_exist_is_named():
    with pytest.raises(UserError, match="got 'dreamerv4'; did you mean 'dreamerv3'"):
        agent_class("dreamerv4")
