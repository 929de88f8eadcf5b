"""Everything that can be done from Python, on one page: docs/python.md."""

from harmony_dreamerv3.api.model import Model, load
from harmony_dreamerv3.api.training import train
from harmony_dreamerv3.config import make as make_config

__all__ = ["Model", "load", "make_config", "train"]
