"""Storage and sampling of transitions."""

from embodied.replay.replay import Replay
from embodied.replay.sampling import Sampling
from embodied.replay.store import HostStore

__all__ = ["HostStore", "Replay", "Sampling"]
