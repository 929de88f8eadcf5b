"""The verb `doctor`."""

import pytest

from embodied.envs._tools import doctor as checks
from harmony_dreamerv3.main import main


def test_it_says_what_is_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "checks", lambda: [("atari", True, "26 games")])
    assert main(["doctor", "--jax.platform", "cpu", "--jax.cache", "False"]) == 0
    shown = capsys.readouterr().out
    assert "ok   devices: cpu (cpu)" in shown and "ok   atari: 26 games" in shown
    assert "  jax " in shown and shown.startswith("python 3")


def test_one_failure_fails_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "checks", lambda: [("rendering", False, "no EGL")])
    assert main(["doctor", "--jax.platform", "cpu", "--jax.cache", "False"]) == 1
    assert "FAIL rendering: no EGL" in capsys.readouterr().out


def test_a_configuration_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--configs", "debug", "--seed", "7"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "base: dreamerv3" and "seed: 7" in shown
