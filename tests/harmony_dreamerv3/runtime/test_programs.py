"""Members mapped, and the keys of their draws."""

import itertools

import jax
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


def test_every_mode_and_counter_has_a_key_of_its_own():
    key = jax.random.key_data(jax.random.key(0))
    counters = [jnp.array(c, jnp.uint32) for c in ([0], [1], [0, 1], [1, 0])]
    keys = [programs.fold(key, m, c) for m, c in itertools.product(programs.MODES, counters)]
    assert len({tuple(np.asarray(k).tolist()) for k in keys}) == len(keys)
    again = programs.fold(key, "eval", counters[2])
    np.testing.assert_array_equal(again, programs.fold(key, "eval", counters[2]))
