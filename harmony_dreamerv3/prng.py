"""Random keys: what every draw of a learner is for.

A learner has one threefry key, `[2]` uint32, which never changes. A draw folds into it what it is
for, and counts; so an update or an action draws the same whatever was drawn before it, and a
resumed run draws what an uninterrupted one does. Counts of updates are below 2**31, purposes above.
"""

from __future__ import annotations

import jax

Array = jax.Array

PURPOSES = {"init": 2**31, "train": 2**31 + 1, "eval": 2**31 + 2, "report": 2**31 + 3}


def of_seed(seed: int) -> Array:
    """The key of a learner, whatever JAX's default generator is."""
    return jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))


def for_init(key: Array, count: int = 3) -> Array:
    """Keys `[count, 2]` of the first parameters: world model, actor, critic."""
    return jax.random.split(jax.random.fold_in(key, PURPOSES["init"]), count)


def for_update(key: Array, updates: Array, count: int = 2) -> Array:
    """Keys `[count, 2]` of the update after `updates` `[]` others: posteriors, imagination."""
    return jax.random.split(jax.random.fold_in(key, updates), count)


def for_call(key: Array, purpose: str, counter: Array) -> Array:
    """The key of the call `counter` `[K]` of the policy (`train`, `eval`) or of `report`."""
    key = jax.random.fold_in(key, PURPOSES[purpose])
    for index in range(counter.shape[0]):
        key = jax.random.fold_in(key, counter[index])
    return key
