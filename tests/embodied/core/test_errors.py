"""Words of messages."""

import signal

import pytest

from embodied.core.errors import UserError, nearest, one_of, signal_name


def test_the_nearest_option_is_offered():
    assert nearest("pnog", ["pong", "qbert"]) == "; did you mean 'pong'?"
    assert nearest("PONG", ["pong", "qbert"]) == "; did you mean 'pong'?"
    assert nearest("xyz", ["pong", "qbert"]) == ""


def test_signals_have_names_where_the_system_names_them():
    assert signal_name(signal.SIGKILL) == "SIGKILL"
    assert signal_name(40) == "signal 40"


def test_words_of_options():
    one_of("env.x.y", "train", ("train", "test"))
    with pytest.raises(
        UserError, match=r"env.x.y must be one of train, test, got 'tset'; did.*test"
    ):
        one_of("env.x.y", "tset", ("train", "test"))
