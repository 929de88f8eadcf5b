"""A replay whose steps carry their own number and stream."""

from __future__ import annotations

import numpy as np

from embodied.core.space import Space
from embodied.replay import Replay

SPACES = {
    "image": Space(np.uint8, (2, 2, 3)),
    "number": Space(np.int32),
    "stream": Space(np.int32),
    "is_first": Space(bool),
    "is_last": Space(bool),
}


def fill(replay: Replay, steps: int, episode: int = 0) -> None:
    """Inserts steps; every stream ends an episode after so many, the later streams earlier."""
    streams = np.arange(len(replay.counts))
    for _ in range(steps):
        number = replay.counts.copy()
        image = np.broadcast_to(
            (number % 256).astype(np.uint8)[:, None, None, None], (len(streams), 2, 2, 3)
        )
        place = (number + streams) % (episode or 1)
        flags = {"is_first": (place == 0) & bool(episode), "is_last": place == episode - 1}
        replay.insert({"image": image, "number": number, "stream": streams, **flags})
