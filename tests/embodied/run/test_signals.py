"""Stopping in order."""

from __future__ import annotations

import signal

import pytest

from embodied.run import signals
from embodied.run.signals import StopFlag


def test_signals_that_come_together_are_one_request() -> None:
    with StopFlag() as stop:
        assert not stop
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # Does not end this process.
        signal.raise_signal(signal.SIGINT)
        assert stop and stop.name == "SIGTERM"


def test_one_more_signal_later_acts_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_ONE_REQUEST", 0.0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with StopFlag() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.name == "SIGINT"
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopFlag():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
