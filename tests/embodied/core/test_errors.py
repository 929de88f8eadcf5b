"""Words of messages."""

import signal

from embodied.core.errors import nearest, signal_name


def test_the_nearest_option_is_offered():
    assert nearest("pnog", ["pong", "qbert"]) == "; did you mean 'pong'?"
    assert nearest("PONG", ["pong", "qbert"]) == "; did you mean 'pong'?"
    assert nearest("xyz", ["pong", "qbert"]) == ""


def test_signals_have_names_where_the_system_names_them():
    assert signal_name(signal.SIGKILL) == "SIGKILL"
    assert signal_name(40) == "signal 40"
