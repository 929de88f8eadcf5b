"""Names of the released code's variables."""

import jax
import numpy as np
import pytest
import tiny

from embodied.core.errors import UserError
from harmony_dreamerv3.interop import names


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("world_model/rssm/gru/kernel", "agent/wm/rssm/gru/kernel"),
        ("world_model/encoder/cnn0/norm/scale", "agent/wm/enc/cnn/s0res/norm/scale"),
        ("world_model/decoder/cnn_in/bias", "agent/wm/dec/cnn/in/bias"),
        ("world_model/decoder/vector_speed/kernel", "agent/wm/dec/mlp/dist_speed/out/kernel"),
        ("world_model/reward/mlp/h1/kernel", "agent/wm/rew/h1/kernel"),
        ("actor/std/bias", "agent/task_behavior/ac/actor/dist_out/std/bias"),
        ("slow_critic/out/bias", "agent/task_behavior/critic/slow/dist_out/out/bias"),
        ("balance/log_sigma/dynamics", "agent/wm/har_s3/harmony_s"),
    ],
)
def test_names_by_hand(ours, theirs):
    assert names.upstream_name(tuple(ours.split("/"))) == theirs


def test_what_has_no_name_is_refused():
    with pytest.raises(UserError, match="no harmonizer for the task 'touch'"):
        names.upstream_name(("balance", "log_sigma", "touch"))
    with pytest.raises(UserError, match="no counterpart of 'planner/kernel'"):
        names.upstream_name(("planner", "kernel"))


def test_what_is_exported_is_imported_again():
    agent = tiny.make_agent(balance__method="harmony")
    state = jax.jit(agent.init)(np.array([0, 7], np.uint32))
    named = names.export_params(state)
    again = names.export_params(names.import_params(agent, named))
    assert named.keys() == again.keys()
    assert all(np.array_equal(named[name], again[name]) for name in named)
