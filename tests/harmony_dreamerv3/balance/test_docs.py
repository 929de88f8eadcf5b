import doctest
import re
from pathlib import Path

import jax

from harmony_dreamerv3.balance import METHODS

PAGE = Path(__file__).parents[3] / "docs" / "balance.md"


def test_the_example_of_the_page_runs():
    with jax.numpy_dtype_promotion("standard"):  # as a reader would run it; optax needs it
        failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert failed == 0
    assert tried > 10


def test_the_page_lists_every_method_once():
    table = PAGE.read_text().split("## Methods")[1].split("- `Task")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(METHODS)
