"""Configuration: typed settings with their ranges, yaml blocks, flags."""

from harmony_dreamerv3.config import bases
from harmony_dreamerv3.config.blocks import block_names, blocks, collect, defaults, upgrade
from harmony_dreamerv3.config.build import build, dump, label_of, lay, load, make, to_dict
from harmony_dreamerv3.config.overrides import Flat
from harmony_dreamerv3.config.settings import BalanceConfig, Config, JaxConfig
from harmony_dreamerv3.config.yaml_file import read_yaml

__all__ = [
    "BalanceConfig", "Config", "Flat", "JaxConfig", "bases", "block_names",
    "blocks", "build", "collect", "defaults", "dump", "label_of", "lay", "load", "make",
    "read_yaml", "to_dict", "upgrade",
]  # fmt: skip
