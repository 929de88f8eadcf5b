"""Objects by dotted path: `my_pkg.my_mod:name` names what a stranger's module defines."""

from __future__ import annotations

import importlib
import re
from typing import Any

from embodied.core.errors import UserError, nearest, raised

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_path(text: str) -> bool:
    """Returns whether a text has the form `package.module:name`."""
    return _PATH.fullmatch(text) is not None


def resolve(path: str) -> Any:
    """Imports the module of a path `package.module:name` and returns the object that it names.

    Raises:
      UserError: when the path has another form, the module is not there or fails while it is
        imported, or it has no such name.
    """
    if not is_path(path):
        raise UserError(f"expected a path 'package.module:name', got {path!r}")
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        absent = error.name or ""
        if absent and f"{module_name}.".startswith(f"{absent}."):
            raise UserError(
                f"{path}: there is no module {absent!r}; install its package, or put the folder "
                "that holds it into PYTHONPATH"
            ) from error
        raise UserError(f"{path}: importing {module_name} raised {raised(error)}") from error
    except (Exception, SystemExit) as error:  # A stranger's module does whatever it likes.
        raise UserError(f"{path}: importing {module_name} raised {raised(error)}") from error
    if not hasattr(module, name):
        public = [each for each in vars(module) if not each.startswith("_")]
        raise UserError(f"{path}: {module_name} has no {name!r}{nearest(name, public)}")
    return getattr(module, name)
