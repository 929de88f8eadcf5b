"""Configuration: typed settings with their ranges, yaml blocks, flags."""

from harmony_dreamerv3.config.build import (
    blocks,
    build,
    defaults,
    dump,
    load,
    make,
    to_dict,
)
from harmony_dreamerv3.config.overrides import Flat
from harmony_dreamerv3.config.settings import (
    WEIGHT_WORDS,
    ActorConfig,
    BalanceConfig,
    CoderConfig,
    Config,
    HeadConfig,
    JaxConfig,
    LossScales,
    OptConfig,
    RetnormConfig,
    RSSMConfig,
)
from harmony_dreamerv3.config.yaml_file import read_yaml

__all__ = [
    "WEIGHT_WORDS", "ActorConfig", "BalanceConfig", "CoderConfig", "Config", "Flat", "HeadConfig",
    "JaxConfig", "LossScales", "OptConfig", "RSSMConfig", "RetnormConfig", "blocks", "build",
    "defaults", "dump", "load", "make", "read_yaml", "to_dict",
]  # fmt: skip
