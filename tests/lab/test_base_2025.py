"""World models of the 2025 base by themselves."""

import jax
import numpy as np
import pytest

from lab import offline, split
from lab.predict import Predictor

WORLD = ("encoder", "rssm", "decoder", "reward", "cont")


@pytest.fixture
def agent_of(make_buffer):
    """An agent and its buffer, of vectors unless told otherwise."""

    def make(**flags):
        buffer = make_buffer([30, 30], base="dreamerv3_2025", opt__warmup=0, **flags)
        return offline.make_agent(buffer.config, buffer), buffer

    return make


def batch_of(agent, buffer, first):
    rows = np.arange(2)[:, None] * 20 + first + np.arange(offline.window_length(agent.config))
    latents = {k: np.full((*rows.shape, *s.shape), 0.1, s.dtype) for k, s in
               agent.stored_space.items()}  # fmt: skip
    batch = buffer.rows(rows) | latents
    return {key: batch[key] for key in agent.batch_keys}


def test_a_step_is_an_update_whose_behaviour_reaches_no_latent(agent_of):
    agent, buffer = agent_of(repval__grad=False, balance__method="harmony")
    trainer, train = offline.Trainer(agent), jax.jit(agent.train_step)
    ours = theirs = trainer.init(3)
    before = trainer.init(3)
    for first in (1, 4):
        batch = batch_of(agent, buffer, first)
        theirs, latents, metrics = train(theirs, batch)
        ours, found_latents, found = trainer.step(ours, batch)
        for name in ("loss/position", "loss/dyn", "balance/log_sigma/reward"):
            np.testing.assert_allclose(found[name], metrics[name], rtol=1e-5, err_msg=name)
        assert not {"loss/policy", "balance/loss/repval"} & set(found)
        for name, value in latents.items():
            np.testing.assert_allclose(found_latents[name], value, atol=1e-6)
    for name in (*WORLD, "balance"):
        for a, b in zip(*(jax.tree.leaves(s.params[name]) for s in (ours, theirs)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=name)
    for name in ("actor", "critic"):
        for a, b in zip(*(jax.tree.leaves(s.params[name]) for s in (ours, before)), strict=True):
            np.testing.assert_array_equal(a, b)


def test_windows_begin_with_latents_that_the_model_wrote(agent_of):
    agent, buffer = agent_of()
    trainer, batches = offline.Trainer(agent), []
    step = trainer.step
    trainer.step = lambda state, batch: (batches.append(batch), step(state, batch))[1]
    starts = np.array([3])  # always the same window, so that what was written comes back
    offline.train(trainer, buffer, starts, 0, 2, 2, lambda *_: None)
    first, second = (batch["dyn/deter"] for batch in batches)
    assert not first.any()
    assert not second[:, 0].any()  # The step of context was not trained.
    assert second[:, 1:].any(-1).all() and np.array_equal(second[0], second[1])


def test_predictions_see_no_more_than_they_are_shown(agent_of):
    agent, buffer = agent_of(image=16)
    state = offline.Trainer(agent).init(0)
    index = split.windows(split.split(buffer, 0.3), "held", 6, 4)
    out = Predictor(agent, buffer, 4).images(state, index, 0)
    assert out["reward"].shape == (4, 6) and out["image/image"].shape == (4, 6, 16, 16, 3)
    assert out["image/image"].min() >= 0 and out["image/image"].max() <= 1
    # Steps from 4 on are not seen; what is done in one is known from the next on.
    for key, places, equal in (
        ("position", [4, 5], 6),
        ("position", [1, 2, 3], 1),
        ("action", [4], 5),
    ):
        arrays = {name: array.copy() for name, array in buffer.arrays.items()}
        arrays[key][index[0, places]] *= -1e6
        other = type(buffer)(buffer.config, arrays, buffer.ends)
        feat = Predictor(agent, other, 4).latents(state, index, 0)["feat"]
        same = np.isclose(feat[0], out["feat"][0], atol=1e-6).all(-1)
        assert same[:equal].all() and same.all() == (equal == 6), (key, places)


def test_latents_of_the_run_are_left_out(make_buffer, tmp_path):
    from lab import buffer as buffers

    buffer = make_buffer([20], base="dreamerv3_2025")
    buffer.arrays["dyn/deter"] = np.zeros((20, 16), np.float32)
    buffers.write(buffer, tmp_path / "b")
    assert "dyn/deter" not in buffers.read(tmp_path / "b").arrays
