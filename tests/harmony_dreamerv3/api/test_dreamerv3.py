"""Bases answer the same questions."""

import importlib.util

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3.api import model
from harmony_dreamerv3.config import bases

API = "harmony_dreamerv3.api"
QUESTIONS = ("observe", "follow", "dream", "decode", "reward", "cont", "value")


@pytest.mark.parametrize(
    "base", [base for base in bases.MODULES if importlib.util.find_spec(f"{API}.{base}")]
)
def test_every_base_answers(base):
    module = importlib.import_module(f"{API}.{base}")
    assert all(callable(getattr(module, name)) for name in QUESTIONS)


def test_a_base_that_cannot_answer_is_named():
    with pytest.raises(UserError, match="agents of base other cannot be loaded yet"):
        model._functions_of("other")
