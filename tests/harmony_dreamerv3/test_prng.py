"""Keys: no two purposes and no two counts share one, and none has changed."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from harmony_dreamerv3 import prng

KEY = np.array([0, 7], np.uint32)


def test_every_draw_has_a_key_of_its_own():
    keys = [*prng.for_init(KEY)]
    keys += [key for update in range(3) for key in prng.for_update(KEY, update)]
    for purpose in ("train", "eval", "report"):
        for counter in itertools.product(range(2), range(2)):
            keys.append(prng.for_call(KEY, purpose, jnp.asarray(counter, jnp.uint32)))
    assert len({tuple(np.asarray(key).tolist()) for key in keys}) == len(keys) == 3 + 6 + 12


def test_keys_are_those_of_earlier_versions():
    def fold(key, *counts):
        for count in counts:
            key = jax.random.fold_in(key, count)
        return key

    init = jax.random.split(fold(KEY, 2**31), 3)
    np.testing.assert_array_equal(prng.for_init(KEY), init)
    np.testing.assert_array_equal(prng.for_update(KEY, 5), jax.random.split(fold(KEY, 5)))
    counter = jnp.array([4, 9], jnp.uint32)
    for purpose, number in {"train": 1, "eval": 2, "report": 3}.items():
        key = prng.for_call(KEY, purpose, counter)
        np.testing.assert_array_equal(key, fold(KEY, 2**31 + number, 4, 9))
