"""The doctor's checks of environments."""

import ale_py
import pytest

from embodied.core.errors import UserError
from embodied.envs._tools import doctor, registry


@pytest.mark.filterwarnings("default")
def test_finds_nothing_wrong_here():
    results = {name: (fine, detail) for name, fine, detail in doctor.checks()}
    assert list(results) == [
        "Atari ROMs",
        "Atari actions change the screen",
        "Gymnasium",
        "MuJoCo rendering",
    ]
    for name in ("Atari ROMs", "Atari actions change the screen", "Gymnasium"):
        assert results[name][0], results[name]


def test_reports_what_is_wrong(monkeypatch):
    act = ale_py.ALEInterface.act
    monkeypatch.setattr(ale_py.ALEInterface, "act", lambda self, action: act(self, 0))
    make = registry.make

    def fail(task, seed, options=None):
        if task.startswith("dmc"):
            raise UserError("set MUJOCO_GL")
        return make(task, seed, options)

    monkeypatch.setattr(registry, "make", fail)
    results = {name: (fine, detail) for name, fine, detail in doctor.checks()}
    assert results["MuJoCo rendering"] == (False, "set MUJOCO_GL")
    assert not results["Atari actions change the screen"][0]
    assert "depend on the actions" in results["Atari actions change the screen"][1]
