"""Members mapped, and the keys of their draws."""

import jax.numpy as jnp
import numpy as np

from harmony_dreamerv3.runtime import devices, programs


def test_one_member_and_several_are_mapped_alike():
    def double(x):
        return {"y": 2 * x["x"]}

    mesh = devices.mesh(1, 1)
    xs = {"x": jnp.arange(6.0).reshape(3, 2)}
    several = programs.each(double, 3, mesh)(xs)["y"]
    one = programs.each(double, 1, mesh)({"x": xs["x"][:1]})["y"]
    np.testing.assert_array_equal(several, 2 * xs["x"])
    np.testing.assert_array_equal(one, several[:1])


def test_windows_of_all_members_are_stacked():
    stores = [{"is_first": jnp.zeros(4, bool), "x": jnp.arange(4.0) + 10 * n} for n in range(2)]
    index = np.array([[[0, 1]], [[2, 3]]])
    first = np.array([[[True, False]], [[False, False]]])
    batch = programs.gather(stores, index, first)
    np.testing.assert_array_equal(batch["x"], [[[0, 1]], [[12, 13]]])
    np.testing.assert_array_equal(batch["is_first"], first)
