"""MuJoCo's rendering without a display."""

from __future__ import annotations

import importlib
import os

from embodied.core.errors import UserError

GL_HELP = (
    "set MUJOCO_GL to 'egl' (Debian and Ubuntu: apt-get install libegl1 libgl1-mesa-dri) or to "
    "'osmesa' (apt-get install libosmesa6)"
)


def default_backend(render: bool) -> None:
    """Chooses MuJoCo's rendering backend EGL where nothing is chosen, and tries that it loads.

    Where it cannot and no images are wanted, rendering is switched off.

    Raises:
      UserError: when images are wanted and the backend's libraries are missing.
    """
    chosen = os.environ.setdefault("MUJOCO_GL", "egl").lower()
    if chosen not in ("egl", "osmesa"):
        return
    os.environ.setdefault("PYOPENGL_PLATFORM", chosen)
    try:
        importlib.import_module("OpenGL.EGL" if chosen == "egl" else "OpenGL.osmesa")
    except ModuleNotFoundError:
        pass  # PyOpenGL comes with the simulators, whose absence is reported by itself.
    except Exception as error:  # PyOpenGL fails with whatever comes first where a library lacks.
        if render:
            raise UserError(
                f"cannot render with MUJOCO_GL={chosen}: {error!r}; {GL_HELP}"
            ) from error
        os.environ["MUJOCO_GL"] = "disabled"
