"""Storage and sampling of transitions."""

from embodied.replay.replay import Replay
from embodied.replay.store import HostStore, Store

__all__ = ["HostStore", "Replay", "Store"]
