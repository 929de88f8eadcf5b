"""Open-loop predictions of a DreamerV2 model."""

import jax
import numpy as np
import tiny
import tiny_v2

from harmony_dreamerv3.agents.openloop_v2 import open_loop

KEYS = [np.array([0, seed], np.uint32) for seed in range(3)]


def test_predictions_do_not_see_later_observations():
    agent = tiny_v2.make_agent(sampling=False)
    state, batch = jax.jit(agent.init)(KEYS[0]), tiny.make_batch(agent, length=6)
    other = {**batch, "position": batch["position"].copy()}
    other["position"][:, 3:] += 1.0
    look = jax.jit(lambda batch: open_loop(agent, state, batch, KEYS[1], 3))
    a, b = look(batch), look(other)
    assert a["deter"].shape == (2, 6, 8)
    jax.tree.map(np.testing.assert_array_equal, a, b)
    moved = {**batch, "action": batch["action"].copy()}
    moved["action"][:, 3] = -moved["action"][:, 3]
    c = look(moved)
    np.testing.assert_array_equal(a["deter"][:, :4], c["deter"][:, :4])
    assert not np.allclose(a["deter"][:, 4:], c["deter"][:, 4:])


def test_a_report_of_images_and_one_of_prototypes():
    agent = tiny_v2.make_agent(tiny.spaces(16))
    state, batch = jax.jit(agent.init)(KEYS[0]), tiny.make_batch(agent, length=6)
    out = jax.jit(agent.report)(state, batch, KEYS[1])
    assert out["openloop/image/video"].shape == (6, 48, 32, 3)
    assert out["openloop/image/video"].dtype == np.uint8
    assert 0 < out["openloop/image/error"] < 1
    pro = tiny_v2.make_pro()
    names = jax.eval_shape(pro.report, jax.eval_shape(pro.init, KEYS[0]), batch, KEYS[1])
    assert set(names) == {
        "openloop/reward/error", "openloop/reward/hist", "replay/reward/hist",
        "openloop/value/hist", "openloop/cont/hist",
    }  # fmt: skip
