"""States of MuJoCo: what integrates and what changed in the model come back; others are refused."""

import numpy as np
import pytest

from embodied.core.errors import UserError
from embodied.envs._tools import physics

mujoco = pytest.importorskip("mujoco")
XML = """<mujoco><worldbody>
  <body><joint name='a' type='hinge'/>{}<geom size='.1'/></body>
</worldbody></mujoco>"""


def make(more=""):
    model = mujoco.MjModel.from_xml_string(XML.format(more))
    return model, mujoco.MjData(model), physics.arrays(model)


def test_state_and_changes_come_back():
    model, data, first = make()
    data.qvel[:] = 1.5
    model.geom_size[0, 0] = 0.3
    for _ in range(3):
        mujoco.mj_step(model, data)
    saved = physics.save(model, data, first)
    assert list(saved["model"]) == ["geom_size"]
    other, fresh, start = make()
    physics.load(other, fresh, start, saved, "task")
    assert fresh.qpos == data.qpos and fresh.time == data.time and other.geom_size[0, 0] == 0.3
    physics.load(other, fresh, start, {**saved, "model": {}}, "task")
    assert other.geom_size[0, 0] == 0.1  # What did not change is as it was made.


def test_states_of_other_models_are_refused():
    model, data, first = make()
    saved = physics.save(*make("<joint name='b' type='slide'/>"))
    with pytest.raises(UserError, match="no array of float64"):
        physics.load(model, data, first, saved, "task")
    with pytest.raises(UserError, match="a state of task has the keys"):
        physics.load(model, data, first, {**saved, "model": {"qpos": np.zeros(1)}}, "task")
