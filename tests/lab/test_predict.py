"""Open-loop predictions of windows."""

import dataclasses

import numpy as np
import tiny_v2

from harmony_dreamerv3 import config as configs
from lab import offline
from lab.predict import ROWS, Predictor


def test_windows_do_not_depend_on_their_neighbours(make_buffer):
    """Filling up the last program call changes nothing, and observed steps come first."""
    buffer = make_buffer([200], image=8, encoder__cnn_keys="image", decoder__cnn_keys="image")
    agent = offline.make_agent(buffer.config, buffer)
    state = offline.Trainer(agent).init(0)
    index = np.arange(ROWS + 3)[:, None] + np.arange(6)
    out = Predictor(agent, buffer, 4).latents(state, index, 0)
    assert out["reward"].shape == (ROWS + 3, 6) and out["feat"].shape[:2] == (ROWS + 3, 6)
    assert np.isfinite(out["feat"]).all() and out["feat"].dtype == np.float32
    again = Predictor(agent, buffer, 4).latents(state, index[:ROWS], 0)
    np.testing.assert_array_equal(again["feat"], out["feat"][:ROWS])
    images = Predictor(agent, buffer, 4).images(state, index[:2], 0)["image/image"]
    assert images.shape == (2, 6, 8, 8, 3) and images.min() >= 0 and images.max() <= 1


def test_a_model_of_the_dreamerv2_base(make_buffer):
    flags = {**tiny_v2.SIZES, "encoder.mlp_keys": "$^", "decoder.mlp_keys": "$^"}
    buffer = make_buffer([60], image=16)
    buffer = dataclasses.replace(buffer, config=configs.make((), flags))
    agent = offline.make_agent(buffer.config, buffer)
    trainer = offline.Trainer(agent)
    index = np.arange(4)[:, None] + np.arange(6)
    batch = {key: buffer.rows(index)[key] for key in agent.batch_keys}
    state, _, metrics = trainer.step(trainer.init(0), batch)
    assert np.isfinite(list(metrics.values())).all() and int(state.updates) == 1
    out = Predictor(agent, buffer, 4).images(state, index, 0)
    assert out["image/image"].shape == (4, 6, 16, 16, 3) and out["reward"].shape == (4, 6)
    assert out["image/image"].min() >= 0 and out["image/image"].max() <= 1
