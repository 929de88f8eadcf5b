"""Orientations of cameras as MuJoCo compiles them."""

import numpy as np
import pytest

from embodied.envs._tools import looks

mujoco = pytest.importorskip("mujoco")


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        ('euler="87 -3 4"', looks._rotation(*np.deg2rad([87, -3, 4]))),
        ('euler="90 0 0"', looks._rotation(np.pi / 2, 0, 0)),
        ('xyaxes="1 0 0 0 .45 1"', looks._axes(0.45)),
    ],
)
def test_orientations(words, ours):
    xml = f"<mujoco><worldbody><camera name='c' pos='1 2 3' {words}/></worldbody></mujoco>"
    model = mujoco.MjModel.from_xml_string(xml)
    np.testing.assert_allclose(model.cam_mat0[0].reshape(3, 3), ours, atol=1e-9)
    model.cam_quat[0] = [1, 0, 0, 0]
    model.cam_mat0[0] = np.eye(3).ravel()
    looks._turn(model, ours)
    compiled = mujoco.MjModel.from_xml_string(xml)
    np.testing.assert_allclose(model.cam_mat0, compiled.cam_mat0, atol=1e-9)
    np.testing.assert_allclose(abs(model.cam_quat @ compiled.cam_quat.T), 1, atol=1e-9)


def test_every_draw_lies_in_its_range():
    for camera, light in looks.VIEWS.values():
        for low, high in (*camera, *(light or ())):
            assert low < high
