"""The choice of a rendering backend."""

import pytest

from embodied.core.errors import UserError
from embodied.envs._tools import gl


def test_a_choice_of_the_user_is_kept(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    gl.default_backend(True)
    assert gl.os.environ["MUJOCO_GL"] == "glfw"


@pytest.mark.parametrize("render", [True, False])
def test_a_library_that_lacks(monkeypatch, render):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "osmesa")

    def broken(name):
        raise AttributeError("no glGetError")

    monkeypatch.setattr(gl.importlib, "import_module", broken)
    if render:
        with pytest.raises(UserError, match=r"MUJOCO_GL=osmesa.*libosmesa6"):
            gl.default_backend(True)
    else:
        gl.default_backend(False)
        assert gl.os.environ["MUJOCO_GL"] == "disabled"
