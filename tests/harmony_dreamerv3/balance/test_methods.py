"""Methods by the path of a function, and what can be wrong with one."""

import sys

import jax.numpy as jnp
import pytest

from harmony_dreamerv3.balance import BalanceError, Task, find, make

TASKS = {"a": Task({"x": 1.0}), "b": Task({"y": 1.0}), "c": Task({"z": 1.0}, fixed=0.5)}
CODE = """\
from harmony_dreamerv3.balance import Balancer, weighted
import jax.numpy as jnp
THREE = 3
def halves(tasks, *, share=0.5, init="one"):
    return weighted(tasks, {"weight": jnp.full(2, share, jnp.float32)})
def nothing(tasks):
    return None
def breaks(tasks):
    return tasks["none"]
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """A module `my_methods_of_tests` on the path, and one that cannot be imported."""
    (tmp_path / "my_methods_of_tests.py").write_text(CODE)
    (tmp_path / "my_broken_of_tests.py").write_text("\nimport not_there_at_all\n")
    (tmp_path / "my_syntax_of_tests.py").write_text("def (:\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.endswith("_of_tests")]:
        del sys.modules[name]


def test_a_function_by_its_path():
    balancer = make("my_methods_of_tests:halves", TASKS, share=0.25)
    losses = {"x": jnp.float32(4.0), "y": jnp.float32(8.0), "z": jnp.float32(2.0)}
    total, _ = balancer.apply(*balancer.init(), losses)
    assert float(total) == 0.25 * (4 + 8) + 0.5 * 2
    assert find("my_methods_of_tests:halves").__name__ == "halves"


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("harmoni", {}, "No balancing method 'harmoni'; did you mean 'harmony'.*, or package.mod"),
        ("my_methods_of_tests:", {}, "Expected package.module:function"),
        (":halves", {}, "Expected package.module:function"),
        (".my:halves", {}, "Expected package.module:function"),
        ("not_there:halves", {}, "ModuleNotFoundError: No module named 'not_there'"),
        ("my_methods_of_tests:halfs", {}, r"tests\.py\) has no 'halfs'; did you mean 'halves'"),
        ("my_methods_of_tests:THREE", {}, "is no function, but 3"),
        ("my_methods_of_tests:halves", {"shares": 1.0}, "no option 'shares'; did you mean 'share'"),
        ("my_methods_of_tests:halves", {"share": "x"}, "'share' of .* to be a finite number"),
        ("my_methods_of_tests:nothing", {}, "must return a Balancer, not NoneType"),
        ("my_methods_of_tests:breaks", {}, r"KeyError: 'none', .*my_methods_of_tests\.py:9"),
        ("my_broken_of_tests:f", {}, r"not_there_at_all'.*my_broken_of_tests\.py:2"),
        ("my_syntax_of_tests:f", {}, r"SyntaxError: .*my_syntax_of_tests\.py, line 1"),
    ],
)
def test_mistakes(method, options, message):
    with pytest.raises(BalanceError, match=message):
        make(method, TASKS, **options)
