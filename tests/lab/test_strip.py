"""Which window is shown."""

import json

import numpy as np

from lab import strip


def test_strip_shows_the_window_that_pays_most():
    rewards = np.zeros((4, 6))
    rewards[0, :2] = 1  # Observed: does not count.
    rewards[1, [3, 5]] = 1  # Predicted, at frames that are not shown.
    rewards[2, 4] = 1  # Predicted and shown.
    assert strip.choose(rewards, 2, 2, 0.5) == 2
    assert strip.choose(rewards[:2], 2, 2, 0.5) == 1
    assert json.dumps(strip.choose(rewards[:1], 2, 2, 0.5)) == "0"
