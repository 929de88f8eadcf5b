"""The switch holds while its function is traced, and no longer."""

import pytest

from harmony_dreamerv3.nets.fast.switch import is_plain, plain


def test_only_the_function_itself_is_plain():
    assert plain(is_plain)() and not is_plain()
    assert plain(lambda x, *, y: (x, y, is_plain()))(1, y=2) == (1, 2, True)


def test_an_error_ends_it():
    def broken():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        plain(broken)()
    assert not is_plain()


def test_what_it_calls_is_plain_too():
    assert plain(lambda: plain(is_plain)() and is_plain())()
