"""Hints of the library."""

import pytest

from harmony_dreamerv3.balance import BalanceError
from harmony_dreamerv3.balance.errors import nearest


def test_the_nearest_name_is_asked_for():
    assert nearest("harmny", ["dwa", "harmony"]) == "; did you mean 'harmony'?"
    assert nearest("xyz", ["dwa", "harmony"]) == ""


def test_it_is_an_error_of_values():
    with pytest.raises(ValueError, match="wrong"):
        raise BalanceError("wrong")
