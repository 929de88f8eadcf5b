"""The bases: their settings are there, and no other's."""

import dataclasses

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.config import bases


@pytest.mark.parametrize("base", bases.MODULES)
def test_every_base_has_settings(base: str) -> None:
    bases.check(base)
    settings = bases.agent_config(base)
    assert dataclasses.is_dataclass(settings) and bases.keys(base)
    assert bases.keys(base) == tuple(field.name for field in dataclasses.fields(settings))


def test_another_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="got 'dreamerv33'; did you mean 'dreamerv3'"):
        bases.check("dreamerv33")


@pytest.mark.parametrize("base", bases.MODULES)
def test_names_of_a_base_are_free(base):
    common = {field.name for field in dataclasses.fields(configs.Config)}
    assert not common & {*bases.keys(base), "format", "harmony"}


@pytest.mark.parametrize("base", bases.MODULES)
def test_defaults_of_a_base_are_complete(base):
    assert configs.make((), {"base": base}).base == base
