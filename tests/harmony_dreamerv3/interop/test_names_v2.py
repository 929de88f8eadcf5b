"""Layouts there and back, and every name of the bundles."""

import json
from pathlib import Path

import numpy as np
import pytest

from harmony_dreamerv3.interop import bundle, names_v2, recorded_v2, states_v2

GOLDEN = Path(__file__).parents[2] / "golden"


def agent_of(name: str):
    return recorded_v2.build(bundle.read(GOLDEN / f"{name}.npz"))[0]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (("world_model", "rssm", "gru", "kernel"), "wm.rssm._cell._layer.weight"),
        (("world_model", "rssm", "gru_norm", "scale"), "wm.rssm._cell._norm.weight"),
        (("world_model", "rssm", "img_stats", "bias"), "wm.rssm.img_dist_0.bias"),
        (("world_model", "encoder", "cnn2", "kernel"), "wm.encoder.conv2.weight"),
        (("world_model", "encoder", "cnn", "kernel"), "wm.encoder.convin.weight"),
        (
            ("world_model", "encoder", "cnn", "stage1_0", "skip_norm", "scale"),
            "wm.encoder.res1.stack.0.identity.1.weight",
        ),
        (
            ("stats", "decoder", "cnn", "stage2_1", "norm1", "var"),
            "wm.heads.decoder.res2.stack.1.res_block.4.running_var",
        ),
        (("world_model", "decoder", "cnn", "kernel"), "wm.heads.decoder.convout.weight"),
        (("world_model", "decoder", "cnn_in", "bias"), "wm.heads.decoder.convin.bias"),
        (("world_model", "reward", "mlp", "h1", "bias"), "wm.heads.reward.dense1.bias"),
        (("actor", "std", "kernel"), "_task_behavior.actor.out.std.weight"),
        (("slow_critic", "out", "bias"), "_task_behavior._target_critic.out.out.bias"),
        (("balance", "log_sigma", "dynamics"), "wm.harmony_s3"),
    ],
)
def test_names_of_the_torch_code(path, name):
    naming = names_v2.torch(agent_of("v2/v2_metaworld_harmony"), {"encoder": 2, "decoder": 0})
    assert naming.name(path) == name


def test_names_of_dreamerpro():
    naming = names_v2.tensorflow()
    assert naming.name(("world_model", "rssm", "obs_stats", "bias")) == "rssm/obs_dist/bias"
    assert naming.name(("target", "encoder", "cnn0", "kernel")) == "ema_encoder/h0/kernel"
    assert naming.name(("slow_critic", "mlp", "h0", "bias")) == "target_critic/h0/bias"
    assert naming.name(("world_model", "projections", "prototypes")) == "rssm/prototypes"


def test_layouts_of_the_torch_code_by_hand():
    """Two channels of two by two pixels: theirs channel by channel, ours pixel by pixel."""
    agent = agent_of("v2/v2_rlbench_resnet_harmony")
    naming = names_v2.torch(agent, {"encoder": 4, "decoder": 4})
    convolution = np.arange(2 * 3 * 1 * 4.0).reshape(2, 3, 1, 4)  # out, in, height, width
    ours = naming.load(("world_model", "encoder", "cnn", "kernel"), convolution)
    assert ours.shape == (1, 4, 3, 2) and ours[0, 3, 2, 1] == convolution[1, 2, 0, 3]
    image = np.arange(16 * 16.0).reshape(16, 4, 4)  # channels of depth 4 after two doublings
    ours = naming.embed(image.transpose(1, 2, 0).reshape(1, -1))
    np.testing.assert_array_equal(ours.ravel(), image.ravel())
    rows = np.zeros((agent.c.rssm.hidden, agent.c.rssm.deter + 256), np.float32)
    rows[0, agent.c.rssm.deter + 16 * 3 + 4 * 1 + 2] = 1.0  # channel 3, row 1, column 2
    ours = naming.load(("world_model", "rssm", "obs_out", "kernel"), rows)
    assert ours[agent.c.rssm.deter + (4 * 1 + 2) * 16 + 3, 0] == 1.0


@pytest.mark.parametrize("name", ["v2/v2_rlbench_resnet_harmony", "v2/v2_metaworld_baseline"])
def test_there_and_back(name):
    given = bundle.read(GOLDEN / f"{name}.npz")
    agent = recorded_v2.build(given)[0]
    naming = states_v2.naming(agent)
    state = recorded_v2.load(agent, naming, given)
    from harmony_dreamerv3.interop.names import flatten

    seen = set()
    for path, value in flatten(states_v2.tree(state)).items():
        theirs = naming.name(path)
        np.testing.assert_array_equal(naming.dump(path, value), given.params[theirs])
        seen.add(theirs)
    assert seen | set(recorded_v2.counters(given.params)) == set(given.params)
    assert json.dumps(sorted(seen))  # names are plain text
