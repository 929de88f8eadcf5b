"""States of the DreamerV2 base by the released codes' names, there and back."""

import jax
import numpy as np
import pytest
import tiny
import tiny_v2

from embodied.core.errors import UserError
from harmony_dreamerv3.interop import states_v2
from harmony_dreamerv3.interop.names import flatten


def arrays_of(agent):
    """A state whose leaves all differ, flat, as a checkpoint has it."""
    shapes = jax.eval_shape(agent.init, jax.ShapeDtypeStruct((2,), np.uint32))
    rng = np.random.default_rng(0)
    state = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
    names = ("params", *states_v2.OWN)
    flat = {"/".join(k): v for k, v in flatten({n: getattr(state, n) for n in names}).items()}
    return {**flat, "updates": np.array(7, np.int32), "opt/model/count": np.array(7)}


@pytest.mark.parametrize(
    "make",
    [
        lambda: tiny_v2.make_agent(tiny.spaces(16), balance__method="harmony"),
        lambda: tiny_v2.make_pro(balance__method="harmony"),
    ],
)
def test_there_and_back(make):
    agent = make()
    arrays = arrays_of(agent)
    named = states_v2.export_arrays(agent, arrays)
    state = states_v2.import_params(agent, named, seed=3)
    assert int(state.updates) == 7 and bool(state.alive)
    again = {"/".join(k): v for k, v in flatten(states_v2.tree(state)).items()}
    for name, value in arrays.items():
        name = name.removeprefix("params/")
        if name in again:
            np.testing.assert_array_equal(again[name], value)
    assert len(again) == len(named) - 1
    fresh = {k: v for k, v in named.items() if "harmony" not in k and "balance" not in k}
    state = states_v2.import_params(agent, fresh, seed=3)
    assert set(map(float, jax.tree.leaves(state.params["balance"]))) == {0.0}
    first = next(k for k in fresh)
    with pytest.raises(UserError, match="surplus 'extra'"):
        states_v2.import_params(agent, {**named, "extra": named[first]}, 0)
    with pytest.raises(UserError, match="parameters lack"):
        states_v2.import_params(agent, {k: v for k, v in named.items() if k != first}, 0)
    with pytest.raises(UserError, match="updates: expected a count"):
        states_v2.import_params(agent, {**named, "updates": np.float32(1)}, 0)
