"""Open-loop predictions of windows."""

import numpy as np

from lab import offline
from lab.predict import ROWS, Predictor


def test_windows_do_not_depend_on_their_neighbours(make_buffer):
    """Filling up the last program call changes nothing, and observed steps come first."""
    buffer = make_buffer([200], image=8, encoder__cnn_keys="image", decoder__cnn_keys="image")
    agent = offline.make_agent(buffer.config, buffer)
    params = offline.Trainer(agent).init(0).params["world_model"]
    index = np.arange(ROWS + 3)[:, None] + np.arange(6)
    out = Predictor(agent, buffer, 4).latents(params, index, 0)
    assert out["reward"].shape == (ROWS + 3, 6) and out["feat"].shape[:2] == (ROWS + 3, 6)
    assert np.isfinite(out["feat"]).all() and out["feat"].dtype == np.float32
    again = Predictor(agent, buffer, 4).latents(params, index[:ROWS], 0)
    np.testing.assert_array_equal(again["feat"], out["feat"][:ROWS])
    images = Predictor(agent, buffer, 4).images(params, index[:2], 0)["image/image"]
    assert images.shape == (2, 6, 8, 8, 3) and images.min() >= 0 and images.max() <= 1
